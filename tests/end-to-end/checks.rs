//! The addresses that checks connect to.

use crate::test_cloud::{TestCloud, until};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::records::Deployment;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

const MANIFEST: &str = "broker/lockstep.toml";

/// Responses of a page that is not ready, and of one that is.
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const READY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready";

/// The check requests a page of this machine only once the stages allow it, and then until the page is ready.
pub async fn a_check_reaches_this_machine_if_its_stage_allows_it(
    cloud: &mut TestCloud,
) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("a page"))?;
    let url = format!("http://{}/ready", listener.local_addr().map_err(at("a page"))?);
    let repository = cloud.demo.repository();
    let manifest = repository.read(MANIFEST)?;
    let check = format!("\n[[checks]]\nkind = \"http\"\nurl = \"{url}\"\nmatches = \"^ready$\"\n");
    repository.write(MANIFEST, &(manifest.clone() + &check))?;
    cloud.push("A check of a page on this machine", Exit::Failed).await?;
    let deployments = cloud.records::<Deployment>().await?;
    let failures = deployments.iter().filter_map(|deployment| deployment.failure.as_ref());
    let setting = "checks_may_reach = [\"loopback\"] of that stage in stages.toml";
    ensure(
        failures
            .into_iter()
            .any(|failure| failure.message.contains(&url) && failure.message.contains(setting)),
        "the record names the page and the setting",
    )?;
    ensure(untouched(&listener)?, "no check connects to the page")?;

    let file = cloud.demo.context.directory.join("stages.toml");
    let stages = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let open = stages.replace("\nregion = ", "\nchecks_may_reach = [\"loopback\"]\nregion = ");
    std::fs::write(&file, open).map_err(at(file.display()))?;
    cloud.weaken_stages().await?;
    let page = serve(listener);
    repository.write(MANIFEST, &(manifest.clone() + &check + "deadline_seconds = 60\n"))?;
    cloud.push("A check of a page that this machine's stages allow", Exit::Done).await?;
    // In the test stack once without success and once more, then in ci.
    until("the page was requested three times", async || Ok(page.is_finished())).await?;
    let requested = page.join().map_err(|_| Failure::new("the page panicked"))?.map_err(at("the page"))?;
    ensure(requested, "each of the three requests is a GET of the page")?;

    let stranger = stages.clone()
        + "[[stages]]\nname = \"canary\"\naccount = \"999999999999\"\nregion = \"eu-west-1\"\nbuilds = \"approved\"\n";
    std::fs::write(&file, stranger).map_err(at(file.display()))?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::NeedsHuman).await?;
    std::fs::write(&file, stages).map_err(at(file.display()))?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
    repository.write(MANIFEST, &manifest)?;
    cloud.push("Without the page again", Exit::Done).await.map(drop)
}

/// Returns true if no connection waits at the listener.
fn untouched(listener: &TcpListener) -> Result<bool, Failure> {
    listener.set_nonblocking(true).map_err(at("the page"))?;
    let is_untouched = listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    listener.set_nonblocking(false).map_err(at("the page"))?;
    Ok(is_untouched)
}

/// Responds once that the page is not ready, then twice that it is. The thread returns true if each request was for the
/// page.
fn serve(listener: TcpListener) -> JoinHandle<std::io::Result<bool>> {
    std::thread::spawn(move || {
        let mut all_for_the_page = true;
        for response in [BUSY, READY, READY] {
            all_for_the_page &=
                respond(&mut listener.accept()?.0, response)?.starts_with(b"GET /ready HTTP/1.1\r\n");
        }
        Ok(all_for_the_page)
    })
}

/// Reads the head of a request, responds, and returns the head.
fn respond(peer: &mut TcpStream, response: &str) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte)?;
        request.extend(byte);
    }
    peer.write_all(response.as_bytes())?;
    Ok(request)
}
