# Two stages: the first installs what the hash-pinned list names, the second carries only the result.
FROM python:3.11-slim AS build
COPY requirements /src/requirements
RUN python3 -m venv /opt/bridge \
 && /opt/bridge/bin/pip install --no-cache-dir --require-hashes -r /src/requirements/postgres.txt
COPY pyproject.toml README.md LICENSE /src/
COPY bridge /src/bridge
COPY conformance /src/conformance
RUN /opt/bridge/bin/pip install --no-cache-dir --no-deps --no-build-isolation /src \
 && /opt/bridge/bin/pip uninstall --yes --quiet hatchling editables trove-classifiers pathspec pluggy \
 && /opt/bridge/bin/python -m compileall -q /opt/bridge/lib

FROM python:3.11-slim
LABEL org.opencontainers.image.title="Bridge" \
      org.opencontainers.image.description="EHR integration middleware: FHIR in, coordination cases, FHIR out" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/bridge /opt/bridge
RUN useradd --system --uid 10001 --home-dir /data bridge && install -d -o bridge -g bridge /data
USER 10001
WORKDIR /data
VOLUME /data
ENV PATH=/opt/bridge/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
  CMD ["python3", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["bridge"]
CMD ["serve"]
