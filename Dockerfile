# Every image of Warren: `service` (one per SERVICE), `operator`, and `tools` (migrations, topology, certificates).
#
#   docker build --target service --build-arg SERVICE=inventory --tag warren/inventory .
#
# `make images` builds them all, and makes the base from Debian packages where no registry of images can be reached.
# A package index behind an authority of its own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt

ARG BASE=debian:trixie-slim

FROM ${BASE} AS python
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/*

FROM python AS builder
RUN apt-get update && apt-get install --yes --no-install-recommends python3-venv
RUN python3 -m venv --without-pip /opt/warren && python3 -m venv /opt/pip
# One place says how packages are installed; each stage below says which.
RUN printf '%s\n' '#!/bin/sh' 'if [ -e /run/secrets/ca ]; then export PIP_CERT=/run/secrets/ca; fi' \
    'exec /opt/pip/bin/pip --cache-dir /var/cache/pip --python /opt/warren/bin/python --no-input \' \
    '  --disable-pip-version-check install --require-hashes --only-binary :all: --requirement "$1"' \
    > /usr/local/bin/install-packages && chmod 755 /usr/local/bin/install-packages

FROM builder AS service-packages
COPY requirements-services.txt /
RUN --mount=type=cache,target=/var/cache/pip --mount=type=secret,id=ca install-packages requirements-services.txt

FROM builder AS operator-packages
COPY requirements-operator.txt /
RUN --mount=type=cache,target=/var/cache/pip --mount=type=secret,id=ca install-packages requirements-operator.txt

FROM builder AS tools-packages
COPY requirements.txt /
RUN --mount=type=cache,target=/var/cache/pip --mount=type=secret,id=ca install-packages requirements.txt

# What all have in common. The user is a number, so that Kubernetes can see that it is not root.
FROM python AS program
ENV PATH=/opt/warren/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 WARREN_LOG_FORMAT=json
WORKDIR /app
USER 10001:10001

FROM program AS service
ARG SERVICE
ENV PYTHONPATH=/app:/app/services/shared/messaging WARREN_METRICS_HOST=0.0.0.0 WARREN_METRICS_PORT=9464 WARREN_HTTP_HOST=0.0.0.0 WARREN_HTTP_PORT=8080
COPY --from=service-packages /opt/warren /opt/warren
COPY services/__init__.py services/
COPY services/shared services/shared
COPY services/${SERVICE} services/${SERVICE}
USER 0:0
# Compiled here, since the file system is read-only where it runs.
RUN test -n "${SERVICE}" || { echo 'which service? --build-arg SERVICE=inventory' >&2; exit 1; }; \
    printf '#!/bin/sh\nexec python -m services.%s "$@"\n' "${SERVICE}" > /usr/local/bin/run \
 && chmod 755 /usr/local/bin/run && python -m compileall -q services
USER 10001:10001
EXPOSE 8080 9464
# For Docker; Kubernetes asks the port itself.
HEALTHCHECK --interval=10s --timeout=10s --start-period=180s CMD ["python", "-m", "services.shared.chassis.healthcheck"]
ENTRYPOINT ["/usr/local/bin/run"]

# For the Tiltfile alone: code that may be replaced while it runs.
FROM service AS development
USER 0:0
RUN chown -R 10001:10001 /app
USER 10001:10001

FROM program AS operator
ENV PYTHONPATH=/app/operator
COPY --from=operator-packages /opt/warren /opt/warren
COPY operator operator
USER 0:0
RUN python -m compileall -q operator
USER 10001:10001
EXPOSE 9464
ENTRYPOINT ["python", "-m", "topology_operator"]

FROM program AS tools
ENV PYTHONPATH=/app:/app/operator:/app/services/shared/messaging
COPY --from=tools-packages /opt/warren /opt/warren
COPY services services
COPY warren warren
COPY operator operator
COPY charts/warren/topology charts/warren/topology
USER 0:0
RUN python -m compileall -q services warren operator
USER 10001:10001
ENTRYPOINT ["python", "-m"]
