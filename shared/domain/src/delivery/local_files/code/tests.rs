use super::*;

fn judged(runtime: &str, handler: &str, files: &[(&'static str, &'static str)]) -> CodeJudgement {
    let facts = CodeFacts {
        runtimes: vec![runtime.to_owned()],
        handler: Some(handler.to_owned()),
        ..CodeFacts::default()
    };
    judged_as(&facts, files)
}

fn judged_as(facts: &CodeFacts, files: &[(&'static str, &'static str)]) -> CodeJudgement {
    let read = |wanted: &str| files.iter().find(|(name, _)| *name == wanted).map(|(_, text)| text.as_bytes());
    judge_function(
        facts,
        &CodeFiles { names: files.iter().map(|(name, _)| *name).collect(), bytes: 1, read: &read },
    )
}

#[test]
fn a_handler_in_the_code_is_accepted() {
    for (runtime, handler, file) in [
        ("python3.12", "app.handler", "app.py"),
        ("python3.13", "pkg.app.handler", "pkg/app.py"),
        ("python3.12", "pkg/app.handler", "pkg/app.py"),
        ("python3.12", "app.handler", "app/__init__.py"),
        ("python3.12", "fast.handler", "fast.cpython-312-x86_64-linux-gnu.so"),
        ("nodejs22.x", "index.handler", "index.mjs"),
        ("nodejs20.x", "dist/index.api.handler", "dist/index.js"),
        ("nodejs20.x", "./index.handler", "index.cjs"),
        ("ruby3.3", "app.App::Handler.process", "app.rb"),
        ("java21", "example.Handler::handle", "example/Handler.class"),
        ("java17", "example.Handler", "lib/handler.jar"),
        ("dotnet8", "Api::Api.Function::Handle", "Api.dll"),
        ("go1.x", "main", "main"),
        ("provided.al2023", "anything", "bootstrap"),
        ("cobol1", "app.handler", "other"),
        ("nodejs22.x", "/opt/nodejs/wrapper.handler", "index.js"),
    ] {
        assert_eq!(judged(runtime, handler, &[(file, "")]), CodeJudgement::default(), "{runtime} {handler}");
    }
}

#[test]
fn a_handler_that_the_code_lacks_is_refused() {
    for (runtime, handler, file, part) in [
        ("python3.12", "app.handler", "main.py", "the handler app.handler is in app.py"),
        ("python3.12", "app.handler", "src/app.py", "the code has src/app.py"),
        ("nodejs22.x", "index.handler", "app.js", "is in index.js"),
        ("nodejs22.x", "index.handler", "index.ts", "is TypeScript (index.ts)"),
        ("ruby3.3", "app.handler", "main.rb", "is in app.rb"),
        ("java21", "example.Handler::handle", "src/main/java/example/Handler.java", "mvn package"),
        ("dotnet8", "Api::Api.Function::Handle", "Function.cs", "no Api.dll"),
        ("go1.x", "main", "main.go", "go build"),
        ("provided.al2023", "bootstrap", "main.rs", "no file bootstrap"),
    ] {
        let judgement = judged(runtime, handler, &[(file, "")]);
        assert!(judgement.refusals[0].contains(part), "{runtime} {handler}: {judgement:?}");
    }
}

#[test]
fn a_handler_that_a_layer_may_hold_is_a_hint() {
    let facts = CodeFacts {
        runtimes: vec!["nodejs22.x".to_owned()],
        handler: Some("newrelic-lambda-wrapper.handler".to_owned()),
        has_layers: true,
        ..CodeFacts::default()
    };
    let judgement = judged_as(&facts, &[("index.js", "")]);
    assert!(judgement.refusals.is_empty() && judgement.hints[0].ends_with("unless a layer holds it"));
    let uncertain = CodeFacts { has_layers: false, is_uncertain: true, ..facts };
    assert!(judged_as(&uncertain, &[("index.js", "")]).refusals.is_empty());
}

const PACKAGE: &str = r#"{"dependencies": {"left-pad": "1", "@acme/log": "2", "@aws-sdk/client-s3": "3"}, "devDependencies": {"jest": "29"}}"#;

#[test]
fn dependencies_without_node_modules_are_refused() {
    let judgement = judged("nodejs22.x", "index.handler", &[("index.js", ""), ("package.json", PACKAGE)]);
    assert_eq!(judgement.refusals.len(), 1);
    assert!(
        judgement.refusals[0].starts_with("package.json names @acme/log, left-pad, but"),
        "{judgement:?}"
    );
    let installed = [
        ("index.js", ""),
        ("package.json", PACKAGE),
        ("node_modules/left-pad/index.js", ""),
        ("node_modules/@acme/log/index.js", ""),
    ];
    assert_eq!(judged("nodejs22.x", "index.handler", &installed), CodeJudgement::default());
    let old = r#"{"dependencies": {"aws-sdk": "2"}}"#;
    let files = [("index.js", ""), ("package.json", old)];
    assert_eq!(judged("nodejs16.x", "index.handler", &files), CodeJudgement::default());
    assert_eq!(judged("nodejs22.x", "index.handler", &files).refusals.len(), 1);
}

#[test]
fn requirements_without_packages_are_a_hint() {
    for (text, hints) in [
        ("# none\n\nboto3==1.34\n", 0),
        ("requests>=2\n", 1),
        ("-r base.txt\n", 0),
        ("boto3\nPyYAML==6 # parser\n", 1),
    ] {
        let judgement = judged("python3.12", "app.handler", &[("app.py", ""), ("requirements.txt", text)]);
        assert!(judgement.refusals.is_empty());
        assert_eq!(judgement.hints.len(), hints, "{text}");
    }
    let installed =
        [("app.py", ""), ("requirements.txt", "requests"), ("requests-2.32.0.dist-info/METADATA", "")];
    assert_eq!(judged("python3.12", "app.handler", &installed), CodeJudgement::default());
}

#[test]
fn code_beyond_the_limit_of_lambda_is_refused() {
    let limit = 250 << 20;
    for (bytes, refusals) in [(limit, 0), (limit + 1, 1)] {
        let files = CodeFiles { names: BTreeSet::new(), bytes, read: &|_| None };
        assert_eq!(judge_function(&CodeFacts::default(), &files).refusals.len(), refusals);
        assert_eq!(judge_layer(&CodeFacts::default(), &files).refusals.len(), refusals);
    }
}

#[test]
fn signs_of_a_missing_build_step_are_hints() {
    let facts = CodeFacts { asks_for_build: true, ..CodeFacts::default() };
    assert!(judged_as(&facts, &[]).hints[0].contains("sam build"));
    let facts = CodeFacts { runtimes: vec!["python3.12".to_owned()], ..CodeFacts::default() };
    let files = CodeFiles { names: ["requests/api.py"].into(), bytes: 1, read: &|_| None };
    assert!(judge_layer(&facts, &files).hints[0].contains("no folder python/"));
    let files = CodeFiles { names: ["python/requests/api.py"].into(), bytes: 1, read: &|_| None };
    assert_eq!(judge_layer(&facts, &files), CodeJudgement::default());
    let gems = judged("ruby3.3", "app.handler", &[("app.rb", ""), ("Gemfile", "gem 'a'")]);
    assert!(gems.refusals.is_empty() && gems.hints.len() == 1);
}
