"""The server's sockets: WebSockets for Sentinels and Proctors, HTTP for page and history."""
