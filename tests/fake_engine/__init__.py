"""A scripted stand-in for a model server: tells the truth, lies, stalls or dies, as each request asks."""
