//! Git hosts, for contexts.

use super::SimContext;
use lockstep_domain::model::error::{Failure, FailureKind};
use lockstep_domain::model::ids::CommitSha;
use lockstep_domain::records::{ListedCommit, ReleaseCommits, Repository};
use lockstep_runtime::{BranchCommits, BranchHeads, CommitArchive, CommitArchives};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

/// Git hosts: the head of each repository's branch, by the repository's name, and the tarballs of commits.
#[derive(Default)]
pub struct SimHosts {
    tarballs: RefCell<BTreeMap<CommitSha, Vec<u8>>>,
    heads: RefCell<BTreeMap<String, Result<Option<CommitSha>, Failure>>>,
    strays: RefCell<BTreeMap<CommitSha, Result<(), Failure>>>,
    keeps_lists: Cell<bool>,
    asked: Cell<u32>,
}

impl SimHosts {
    /// Sets the host's answer for a repository; a repository without one has no branch.
    pub fn answer(&self, repository: &str, head: Result<Option<CommitSha>, Failure>) {
        self.heads.borrow_mut().insert(repository.to_owned(), head);
    }

    /// Lets every repository hold `commit` with this tarball.
    pub fn hold(&self, commit: &CommitSha, tarball: Vec<u8>) {
        self.tarballs.borrow_mut().insert(commit.clone(), tarball);
    }

    /// Lets `commit` be on no branch, or lets the hosts fail to compare it. Every other commit is on every branch.
    pub fn stray(&self, commit: &CommitSha, compared: Result<(), Failure>) {
        self.strays.borrow_mut().insert(commit.clone(), compared);
    }

    /// Lets the hosts list no commits.
    pub fn keep_lists(&self, keeps: bool) {
        self.keeps_lists.set(keeps);
    }

    /// Returns the number of requests to them.
    pub fn asked(&self) -> u32 {
        self.asked.get()
    }
}

impl BranchHeads for SimContext {
    async fn head(&self, repository: &Repository, _: &str) -> Result<Option<CommitSha>, Failure> {
        self.hosts.asked.set(self.hosts.asked.get() + 1);
        self.hosts.heads.borrow().get(repository.id.name()).cloned().unwrap_or(Ok(None))
    }
}

impl BranchCommits for SimContext {
    async fn is_on_branch(&self, _: &Repository, _: &str, commit: &CommitSha) -> Result<bool, Failure> {
        match self.hosts.strays.borrow().get(commit) {
            Some(compared) => compared.clone().map(|()| false),
            None => Ok(true),
        }
    }

    async fn commits_since(
        &self,
        _: &Repository,
        base: &CommitSha,
        commit: &CommitSha,
    ) -> Result<ReleaseCommits, Failure> {
        let listed = ListedCommit { commit: commit.clone(), subject: "Change".into(), author: "Ada".into() };
        let commits = ReleaseCommits { base: base.clone(), listed: vec![listed], more: 0 };
        match self.hosts.keeps_lists.get() {
            false => Ok(commits),
            true => Err(Failure::new(FailureKind::Throttled, "the host lists no commits")),
        }
    }
}

impl CommitArchives for SimContext {
    async fn archive(&self, _: &Repository, commit: &CommitSha) -> Result<CommitArchive, Failure> {
        match self.hosts.tarballs.borrow().get(commit).cloned() {
            Some(tarball) => Ok(CommitArchive { tarball, author: "Ada".to_owned() }),
            None => Err(Failure::rejected(format!("there is no commit {commit}"))),
        }
    }
}
