# Short ways to what a change needs. CONTRIBUTING.md says which change wants which recipe; .ci/run says what must hold.
#
#   just --list        needs https://just.systems: `cargo install just`, or `pip install rust-just`

set shell := ["bash", "-euo", "pipefail", "-c"]

# Lists the recipes.
@default:
    just --list --unsorted

# Format, clippy of the crates that differ from main, tests of the decisions: before each commit.
check: && lint _domain
    cargo fmt --all --check

# Clippy, as .ci/run judges it, of the crates that differ from main.
lint:
    #!/usr/bin/env bash
    set -euo pipefail
    changed=$(.ci/changed-crates)
    if [[ -z $changed ]]; then
        echo 'no crate differs from main'
        exit
    fi
    packages=()
    for crate in $changed; do packages+=(--package "$crate"); done
    cargo clippy --locked "${packages[@]}" --all-targets -- -D warnings

@_domain:
    cargo test --quiet --locked -p lockstep-domain

# Formats everything.
fmt:
    cargo fmt --all

# Tests of one crate, by its short name: `just test stack`, `just test domain gate::`.
test crate *filter:
    cargo test --locked -p lockstep-{{ crate }} {{ filter }}

# Contracts between templates, policies, state machines and functions: after a change of infra, statemachines or payloads.
contract *filter:
    cargo test --locked --test contract -- {{ filter }}

# Attacks of the security review, and the strongest that each function can do: after a change of infra.
attacks *filter:
    cargo test --locked --test attacks -- {{ filter }}

# Faults at the calls of a workflow: `just faults image`, `just faults bake`, `just faults update`; of all without a name.
faults scenarios='' *filter:
    LOCKSTEP_FAULTS_ONLY='{{ scenarios }}' cargo test --locked --test faults -- --nocapture {{ filter }}

# What stands in for AWS, against the emulator: after a change of an adapter, a simulation or the overlay.
conformance *filter:
    cargo test --locked --test conformance -- {{ filter }}

# The main job and the log stack on local clouds, or the promises whose names contain a text: `just e2e twenty_copies`.
e2e promise='':
    cargo test --locked --test end-to-end -- {{ promise }}

# Wall and processor seconds of each test binary: `just times`, `just times -p lockstep-domain`.
times *options:
    .ci/test-times {{ options }}

# Everything that must hold before a change is merged.
ci:
    .ci/run

# Renders the state machines into target/statemachines, as AWS gets them.
render:
    cargo run --quiet -p lockstep-statemachines --bin render -- target/statemachines

# Names and language: what differs from docs/STYLE.md and GLOSSARY.md.
tidy:
    tests/tidy/run

# The figures of names, language and size, a crate a line.
measure:
    tests/tidy/run --measure

# Mutants that no test catches: `just mutants gate`, `just mutants gate --again`. Needs cargo-mutants.
mutants *area:
    tests/mutants/run {{ area }}

# A million random histories of approvals, compared with the reference model of docs/security.md, then hostile requests,
# archives and addresses.
soak histories='1000000' requests='100000' archives='10000' addresses='1000':
    LOCKSTEP_APPROVAL_HISTORIES='{{ histories }}' cargo test --release --locked -p lockstep-domain --test approvals -- --nocapture
    LOCKSTEP_HOSTILE_REQUESTS='{{ requests }}' LOCKSTEP_HOSTILE_ARCHIVES='{{ archives }}' \
        LOCKSTEP_HOSTILE_ADDRESSES='{{ addresses }}' \
        cargo test --release --locked -p lockstep-domain --test hostile -- --nocapture

# Builds every function for Lambda in two clones, for two users, and compares the digests of the zips. Takes an hour or more.
reproducible:
    .ci/reproducible --all

# Compares the locked crates with the database of known vulnerabilities, as the workflow of every day does.
advisories:
    LOCKSTEP_CI_CACHE="${LOCKSTEP_CI_CACHE:-target/tools}" .ci/advisories

# The figures of docs/performance.md: `just figures workflows 10`, `just figures functions <folder>`.
figures *what='workflows':
    cargo run --quiet --example figures -- {{ what }}

# The demo: `just demo`, `just demo --keep`, `just demo --log-stack`.
demo *options:
    cargo demo {{ options }}
