"""The shared parts of all oracles: the tools, the context of a run, the loading of documents, and verdicts."""
