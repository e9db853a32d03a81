"""The configuration of nginx, which lets sites reach the Fleet API of the SuperLink and nothing else."""

from fedvsr.deploy.server import Server

FLEET = (
    "activate-node",
    "confirm-message-received",
    "deactivate-node",
    "get-fab",
    "get-run",
    "pull-messages",
    "pull-object",
    "push-messages",
    "push-object",
    "register-node",
    "send-node-heartbeat",
    "unregister-node",
)
"""What a SuperNode of Flower 1.41 asks for, below ``/v1/fleet/``."""

_TEMPLATE = r"""# Made by 'fedvsr deploy server' from server.toml, and made anew by it.
# The SuperLink serves three APIs on one port. Sites need Fleet. Control and Runtime ask nobody who they are:
# whoever reaches them can run code on the server and on every site. So this passes on Fleet's paths alone.
daemon off;
worker_processes 1;
pid "@folder@/proxy/nginx.pid";
error_log stderr error; # every request that is refused has a line
events { worker_connections 1024; }

http {
    access_log off;
    server_tokens off;
    client_body_temp_path "@folder@/proxy/body";
    proxy_temp_path "@folder@/proxy/upstream";
    fastcgi_temp_path "@folder@/proxy/fastcgi";
    uwsgi_temp_path "@folder@/proxy/uwsgi";
    scgi_temp_path "@folder@/proxy/scgi";

    upstream superlink {
        server 127.0.0.1:@superlink_port@ max_fails=0; # it comes back within seconds: ask it every time
        keepalive 16;
    }

    server {
@listen@
        ssl_certificate "@folder@/server.crt";
        ssl_certificate_key "@folder@/server.key";
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_session_cache shared:sites:1m;

        # Flower sends arrays of any size in pieces of 5 MB, so this is no limit to the model.
        client_max_body_size 16m;
        client_body_buffer_size 16m; # in memory: nothing of a site is written to a disk here
        proxy_max_temp_file_size 0;
        client_header_timeout 60s;
        client_body_timeout 120s; # between two packets of a slow site
        send_timeout 120s;
        proxy_connect_timeout 10s; # then 504, upon which a SuperNode tries again
        proxy_read_timeout 300s;
        proxy_send_timeout 120s;

        location / { deny all; }

        location ~ ^/v1/fleet/(@fleet@)$ {
            limit_except POST { deny all; }
            if ($request_uri != $uri) { return 403; } # written in another way, with dots, escapes or a query
            proxy_pass https://superlink$uri;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_ssl_trusted_certificate "@folder@/ca.crt";
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
        }
    }
}
"""


def nginx_configuration(server: Server) -> str:
    """The whole configuration of an nginx of its own, in the foreground, which needs no privilege."""
    places = ("", "[::]:") if any(":" in host for host in server.hosts) else ("",)
    values = {
        "folder": str(server.folder),
        "listen": "\n".join(f"        listen {place}{server.port} ssl;" for place in places),
        "superlink_port": str(server.superlink_port),
        "fleet": "|".join(FLEET),
    }
    text = _TEMPLATE
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text
