"""What all oracles share: the tools, the context of a run, the loading of documents, and verdicts."""
