package bridge.hapi;

import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * What a test may ask of its server, given as {@code --hapi.NAME=VALUE} or as a system property of the same name.
 *
 * <p>Every default is what the HAPI JPA starter 8.0.0, and so the published container image, ships with. The port
 * is Spring Boot's own {@code --server.port}.
 *
 * @param fhirVersion R4, R4B or R5
 * @param databaseFile H2 file that survives a restart, without its {@code .mv.db} ending; empty keeps all in memory
 * @param referentialIntegrity refuse a write or a delete that leaves a reference without its target
 * @param validateRequests validate every incoming resource and answer 422 to one with errors
 * @param searchCacheMillis how long the same search is answered from the stored result; 0 turns that off
 */
@ConfigurationProperties("hapi")
public record Switches(
        @DefaultValue("R4") String fhirVersion,
        @DefaultValue("") String databaseFile,
        @DefaultValue("true") boolean referentialIntegrity,
        @DefaultValue("false") boolean validateRequests,
        @DefaultValue("60000") long searchCacheMillis) {

    String databaseUrl() {
        return databaseFile.isEmpty() ? "jdbc:h2:mem:ehr;DB_CLOSE_DELAY=-1" : "jdbc:h2:file:" + databaseFile;
    }
}
