# Two stages: the first installs what the hash-pinned list names, the second carries only the result.
FROM python:3.11-slim AS build
COPY requirements /src/requirements
RUN python3 -m venv /opt/bridge \
 && /opt/bridge/bin/pip install --no-cache-dir --no-compile --require-hashes -r /src/requirements/postgres.txt
COPY pyproject.toml README.md LICENSE /src/
COPY bridge /src/bridge
COPY conformance /src/conformance
# What is only there to install things stays behind, and so does FHIR STU3, which Bridge does not speak.
RUN /opt/bridge/bin/pip install --no-cache-dir --no-compile --no-deps --no-build-isolation /src \
 && /opt/bridge/bin/pip uninstall --yes --quiet hatchling editables trove-classifiers pathspec pluggy setuptools pip \
 && rm -rf /opt/bridge/lib/python3*/site-packages/fhir/resources/STU3 \
 && find /opt/bridge \( -name '*.pyi' -o -name '*.pyx' -o -name '*.c' -o -name '*.h' \) -delete \
 && python3 -m compileall -q /opt/bridge/lib

FROM python:3.11-slim
ARG VERSION=0.2.0.dev0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="Bridge" \
      org.opencontainers.image.description="EHR integration middleware: FHIR in, coordination cases, FHIR out" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.vendor="The Bridge authors" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim"
COPY --from=build /opt/bridge /opt/bridge
RUN useradd --system --uid 10001 --home-dir /data bridge && install -d -o bridge -g bridge /data
USER 10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/bridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
# Exec form: bridge is process 1, hears SIGTERM itself and starts no process of its own, so it needs no init beside it.
ENTRYPOINT ["bridge"]
CMD ["serve"]
