package bridge.hapi;

import ca.uhn.fhir.batch2.jobs.config.Batch2JobsConfig;
import ca.uhn.fhir.jpa.api.config.ThreadPoolFactoryConfig;
import ca.uhn.fhir.jpa.batch2.JpaBatch2Config;
import ca.uhn.fhir.jpa.config.r4.JpaR4Config;
import ca.uhn.fhir.jpa.config.r4b.JpaR4BConfig;
import ca.uhn.fhir.jpa.config.r5.JpaR5Config;
import ca.uhn.fhir.jpa.subscription.channel.config.SubscriptionChannelConfig;
import ca.uhn.fhir.jpa.subscription.match.config.SubscriptionProcessorConfig;
import ca.uhn.fhir.jpa.subscription.match.config.WebsocketDispatcherConfig;
import ca.uhn.fhir.jpa.subscription.submit.config.SubscriptionSubmitterConfig;
import ca.uhn.fhir.jpa.topic.SubscriptionTopicConfig;
import ca.uhn.fhir.rest.server.RestfulServer;
import java.io.IOException;
import java.io.OutputStream;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnProperty;
import org.springframework.boot.autoconfigure.elasticsearch.ElasticsearchRestClientAutoConfiguration;
import org.springframework.boot.autoconfigure.quartz.QuartzAutoConfiguration;
import org.springframework.boot.autoconfigure.thymeleaf.ThymeleafAutoConfiguration;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.boot.web.servlet.ServletRegistrationBean;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;

/**
 * A real HAPI FHIR JPA server at {@code http://127.0.0.1:PORT/fhir}, for tests and for trying Bridge out.
 *
 * <p>Spring Boot would configure Quartz, Thymeleaf and Elasticsearch because HAPI brings their libraries along; HAPI
 * sets up the first two itself and this server has no use for the third.
 */
@SpringBootApplication(
        exclude = {
            ThymeleafAutoConfiguration.class,
            QuartzAutoConfiguration.class,
            ElasticsearchRestClientAutoConfiguration.class
        })
@EnableConfigurationProperties(Switches.class)
@Import({
    SubscriptionTopicConfig.class,
    SubscriptionSubmitterConfig.class,
    SubscriptionProcessorConfig.class,
    SubscriptionChannelConfig.class,
    WebsocketDispatcherConfig.class,
    JpaBatch2Config.class,
    Batch2JobsConfig.class,
    ThreadPoolFactoryConfig.class
})
public class HapiTestServer {

    public static void main(String[] args) {
        if (Boolean.getBoolean("hapi.until-stdin-closes")) {
            stopWhenStdinCloses();
        }
        SpringApplication.run(HapiTestServer.class, args);
    }

    /** A test run that is killed cannot stop its servers; its end of their standard input closes all the same. */
    private static void stopWhenStdinCloses() {
        Thread watcher = new Thread(
                () -> {
                    try {
                        System.in.transferTo(OutputStream.nullOutputStream());
                    } catch (IOException e) {
                        System.err.println("Standard input broke, which counts as closed: " + e);
                    }
                    System.exit(0);
                },
                "stdin-watcher");
        watcher.setDaemon(true);
        watcher.start();
    }

    @Bean
    ServletRegistrationBean<RestfulServer> fhirServlet(RestfulServer server) {
        ServletRegistrationBean<RestfulServer> registration = new ServletRegistrationBean<>(server, "/fhir/*");
        registration.setLoadOnStartup(1);
        return registration;
    }

    @Configuration
    @ConditionalOnProperty(name = "hapi.fhir-version", havingValue = "R4", matchIfMissing = true)
    @Import(JpaR4Config.class)
    static class R4 {}

    @Configuration
    @ConditionalOnProperty(name = "hapi.fhir-version", havingValue = "R4B")
    @Import(JpaR4BConfig.class)
    static class R4B {}

    @Configuration
    @ConditionalOnProperty(name = "hapi.fhir-version", havingValue = "R5")
    @Import(JpaR5Config.class)
    static class R5 {}
}
