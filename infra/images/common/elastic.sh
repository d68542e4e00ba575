#!/bin/bash
# Sets up Elastic's repository of packages. Elastic signs the packages and the repository's index, and the key is accepted by
# its fingerprint only, whatever the address below serves.
set -euo pipefail
: "${ELASTIC_VERSION:?}"

# https://www.elastic.co/guide/en/elasticsearch/reference/8.19/rpm.html
fingerprint=46095ACC8548582C1A2699A9D27D666CD88E42B4
key=/etc/yum.repos.d/elastic.key
curl --silent --show-error --fail --location --retry 5 --output "$key" https://artifacts.elastic.co/GPG-KEY-elasticsearch
# Each primary key of the file. A second key in it would sign as well as the first one.
found=$(gpg --batch --show-keys --with-colons "$key" | grep --after-context=1 '^pub:' | grep '^fpr:' | cut -d: -f10)
if [[ $found != "$fingerprint" ]]; then
  echo "The key of Elastic's packages has another fingerprint: ${found:-none}" >&2
  exit 1
fi
rpm --import "$key"
cat > /etc/yum.repos.d/elastic.repo <<END
[elastic]
name=Elastic packages
baseurl=https://artifacts.elastic.co/packages/${ELASTIC_VERSION%%.*}.x/yum
gpgcheck=1
repo_gpgcheck=1
gpgkey=file://$key
enabled=0
END
