"""The HTTP edge: proves who sent a request, stamps it, appends it to the log, answers 2xx only when it is on disk."""
