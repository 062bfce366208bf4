# RabbitMQ and PostgreSQL from Debian's packages, for machines that cannot pull the official images: they have the same
# commands, folders and variables, as far as compose.yaml and the chart use them.
#
#   docker build --target rabbitmq --tag rabbitmq:4.3-management - < devtools/compose/debian.Dockerfile

ARG BASE=debian:forky-slim

FROM ${BASE} AS rabbitmq
# 999 is the user and the group of the official images; compose.yaml and the chart use the number.
RUN groupadd --system --gid 999 rabbitmq \
 && useradd --system --uid 999 --gid 999 --home-dir /var/lib/rabbitmq rabbitmq \
 && apt-get -o Acquire::Check-Valid-Until=false update \
 && apt-get install --yes --no-install-recommends rabbitmq-server \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/rabbitmq/* /var/lib/rabbitmq/mnesia /etc/rabbitmq/rabbitmq-env.conf
# The packages' wrapper changes its user with tools that a container without capabilities does not have.
ENV PATH=/usr/lib/rabbitmq/bin:$PATH HOME=/var/lib/rabbitmq RABBITMQ_LOGS=-
RUN printf '%s\n' '#!/bin/sh' 'set -e' \
    'if [ "$(id -u)" = 0 ] && [ "$1" = rabbitmq-server ]; then' \
    '  chown -R rabbitmq: /var/lib/rabbitmq /etc/rabbitmq 2> /dev/null || true' \
    '  exec setpriv --reuid rabbitmq --regid rabbitmq --init-groups "$@"' \
    'fi' \
    'exec "$@"' > /usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/rabbitmq
EXPOSE 5671 5672 15671 15672 15691 15692
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["rabbitmq-server"]

FROM ${BASE} AS postgres
RUN groupadd --system --gid 999 postgres \
 && useradd --system --uid 999 --gid 999 --home-dir /var/lib/postgresql --shell /bin/bash postgres \
 && apt-get -o Acquire::Check-Valid-Until=false update \
 && apt-get install --yes --no-install-recommends postgresql-common \
 && sed -i 's/^#* *create_main_cluster.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf \
 && apt-get install --yes --no-install-recommends postgresql-18 \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* \
 && install -d -o postgres -g postgres /var/lib/postgresql /run/postgresql
ENV PATH=/usr/lib/postgresql/18/bin:$PATH PGDATA=/var/lib/postgresql/18/docker LANG=C.UTF-8
RUN printf '%s\n' '#!/bin/sh' 'set -e' \
    'if [ "$(id -u)" = 0 ] && [ "$1" = postgres ]; then' \
    '  install -d -o postgres -g postgres /var/lib/postgresql /run/postgresql' \
    '  exec setpriv --reuid postgres --regid postgres --init-groups "$0" "$@"' \
    'fi' \
    'if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then' \
    '  mkdir -p "$PGDATA"' \
    '  initdb --auth=scram-sha-256 --username="${POSTGRES_USER:-postgres}" --pwfile="$POSTGRES_PASSWORD_FILE"' \
    '  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"' \
    'fi' \
    'exec "$@"' > /usr/local/bin/docker-entrypoint.sh && chmod 755 /usr/local/bin/docker-entrypoint.sh
VOLUME /var/lib/postgresql
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres", "-c", "listen_addresses=*"]
