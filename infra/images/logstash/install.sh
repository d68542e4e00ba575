#!/bin/bash
# Installs Logstash from Elastic's repository, which common/elastic.sh sets up, in exactly the requested version.
set -euo pipefail
: "${ELASTIC_VERSION:?}" "${OPENSEARCH_OUTPUT_VERSION:?}"

dnf --assumeyes --enablerepo=elastic install "logstash-${ELASTIC_VERSION}"
# An update requires a new image. A running instance must not update the package at night.
echo "exclude=logstash" >> /etc/dnf/dnf.conf

# Elastic does not bundle the OpenSearch output (https://docs.opensearch.org/latest/tools/logstash/ship-to-opensearch/).
/usr/share/logstash/bin/logstash-plugin install --version "${OPENSEARCH_OUTPUT_VERSION}" logstash-output-opensearch

# The instance sets the heap from its memory when it starts. JVM options of the package would fix the heap at 1 GiB.
install -d -m 0755 /etc/systemd/system/logstash.service.d
cat > /etc/systemd/system/logstash.service.d/50-lockstep.conf <<'END'
[Unit]
StartLimitIntervalSec=0

[Service]
EnvironmentFile=-/etc/default/logstash
Restart=always
RestartSec=5
LimitNOFILE=65536
END

# The queue keeps events in flight on disk and acknowledges each event separately, so a restart loses no event.
cat >> /etc/logstash/logstash.yml <<'END'
queue.type: persisted
queue.checkpoint.writes: 1
api.http.host: 127.0.0.1
log.level: info
END
install -d -o logstash -g logstash -m 0750 /var/lib/logstash/queue

install -m 0644 /tmp/logrotate /etc/logrotate.d/logstash
# The component configures inputs and outputs, then starts the service.
systemctl disable logstash
