"""The live worker: a process that holds one case or one support and answers requests, as JSON lines over pipes.

``server`` is the process, ``sessions`` what it holds, ``client`` the other end, for the Slicer module and the browser:
it imports the standard library alone. The protocol is in docs/worker.md.
"""
