"""An nginx with two ports for a benchmark: one leads to a site's socket, one to the port that it publishes."""

import contextlib
import os
import shutil
import socket
import subprocess

NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
{user}
worker_processes 1;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_set_header Host localhost;
  server {{ listen 127.0.0.1:{ports[0]}; location / {{ proxy_pass http://unix:{folder}/run/web.sock; }} }}
  server {{ listen 127.0.0.1:{ports[1]}; location / {{ proxy_pass http://127.0.0.1:{published}; }} }}
}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def nginx(folder, port):
    """Two ports of an nginx: one leads to the socket, one to the published port."""
    ports = [free_port(), free_port()]
    (folder / "nginx.conf").write_text(NGINX.format(
        folder=folder, ports=ports, published=port, user="user root;" if os.geteuid() == 0 else ""))
    binary = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    process = subprocess.Popen([binary, "-c", folder / "nginx.conf", "-e", folder / "error.log"])
    try:
        yield ports
    finally:
        process.terminate()
        process.wait(30)
