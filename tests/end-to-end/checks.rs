//! What checks connect to.

use crate::test_cloud::{TestCloud, until};
use lockstep_cli::demo::ensure;
use lockstep_cli::failure::{Exit, Failure, at};
use lockstep_domain::records::Deployment;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread::JoinHandle;

const MANIFEST: &str = "broker/lockstep.toml";

/// What a page says that is not ready, and one that is.
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n";
const READY: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nready";

/// A page of this machine is asked only once the stages allow it, and then until it is ready.
pub async fn reach_what_their_stage_allows(cloud: &mut TestCloud) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(at("a page"))?;
    let url = format!("http://{}/ready", listener.local_addr().map_err(at("a page"))?);
    let repository = cloud.demo.repository();
    let manifest = repository.read(MANIFEST)?;
    let check = format!("\n[[checks]]\nkind = \"http\"\nurl = \"{url}\"\nmatches = \"^ready$\"\n");
    repository.write(MANIFEST, &(manifest.clone() + &check))?;
    cloud.push("A check of a page on this machine", Exit::Failed).await?;
    let deployments = cloud.records::<Deployment>().await?;
    let told = deployments.iter().filter_map(|deployment| deployment.failure.as_ref());
    let setting = "checks_may_reach = [\"loopback\"] of that stage in stages.toml";
    ensure(
        told.into_iter().any(|failure| failure.message.contains(&url) && failure.message.contains(setting)),
        "the record names the page and the setting",
    )?;
    ensure(untouched(&listener)?, "nobody connected to the page")?;

    let file = cloud.demo.context.directory.join("stages.toml");
    let stages = std::fs::read_to_string(&file).map_err(at(file.display()))?;
    let open = stages.replace("\nregion = ", "\nchecks_may_reach = [\"loopback\"]\nregion = ");
    std::fs::write(&file, open).map_err(at(file.display()))?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
    let page = serve(listener);
    repository.write(MANIFEST, &(manifest.clone() + &check + "deadline_seconds = 60\n"))?;
    cloud.push("A check of a page that this machine's stages allow", Exit::Done).await?;
    // In the throw-away stack once in vain and once more, and in ci.
    until("the page was asked three times", async || Ok(page.is_finished())).await?;
    let asked = page.join().map_err(|_| Failure::new("the page broke down"))?.map_err(at("the page"))?;
    ensure(asked, "the page was asked with GET, once in vain and twice more")?;

    std::fs::write(&file, stages).map_err(at(file.display()))?;
    cloud.demo.type_in(&["stages", "apply", "stages.toml"], Exit::Done).await?;
    repository.write(MANIFEST, &manifest)?;
    cloud.push("Without the page again", Exit::Done).await.map(drop)
}

fn untouched(listener: &TcpListener) -> Result<bool, Failure> {
    listener.set_nonblocking(true).map_err(at("the page"))?;
    let nobody = listener.accept().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    listener.set_nonblocking(false).map_err(at("the page"))?;
    Ok(nobody)
}

/// Answers that the page is not ready, and then twice that it is. Ends with whether each request was one for the page.
fn serve(listener: TcpListener) -> JoinHandle<std::io::Result<bool>> {
    std::thread::spawn(move || {
        let mut right = true;
        for answer in [BUSY, READY, READY] {
            right &= answer_one(&mut listener.accept()?.0, answer)?.starts_with(b"GET /ready HTTP/1.1\r\n");
        }
        Ok(right)
    })
}

fn answer_one(peer: &mut TcpStream, answer: &str) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        peer.read_exact(&mut byte)?;
        request.extend(byte);
    }
    peer.write_all(answer.as_bytes())?;
    Ok(request)
}
