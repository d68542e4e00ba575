#!/bin/bash
# logstash from Elastic's repository, in exactly the version that was asked for.
set -euo pipefail
: "${ELASTIC_VERSION:?}" "${OPENSEARCH_OUTPUT_VERSION:?}"

rpm --import https://artifacts.elastic.co/GPG-KEY-elasticsearch
cat > /etc/yum.repos.d/elastic.repo <<END
[elastic]
name=Elastic packages
baseurl=https://artifacts.elastic.co/packages/${ELASTIC_VERSION%%.*}.x/yum
gpgcheck=1
repo_gpgcheck=1
gpgkey=https://artifacts.elastic.co/GPG-KEY-elasticsearch
enabled=0
END
dnf --assumeyes --enablerepo=elastic install "logstash-${ELASTIC_VERSION}"
# An update is a new image, not something that happens at night.
echo "exclude=logstash" >> /etc/dnf/dnf.conf

# Elastic does not bundle the output for OpenSearch (https://docs.opensearch.org/latest/tools/logstash/ship-to-opensearch/).
/usr/share/logstash/bin/logstash-plugin install --version "${OPENSEARCH_OUTPUT_VERSION}" logstash-output-opensearch

# The heap is set when an instance starts, from its memory: JVM options of the package would fix it at 1 GiB.
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

# What is in flight is on disk and acknowledged event by event: a restart loses nothing.
cat >> /etc/logstash/logstash.yml <<'END'
queue.type: persisted
queue.checkpoint.writes: 1
api.http.host: 127.0.0.1
log.level: info
END
install -d -o logstash -g logstash -m 0750 /var/lib/logstash/queue

install -m 0644 /tmp/logrotate /etc/logrotate.d/logstash
# Its component says what it reads and writes, then starts it.
systemctl disable logstash
