"""nginx's files: decided without a server, so compared as they are."""

import re

import pytest

from slipway.deploy import config
from slipway.deploy.provisioning import operations
from slipway.deploy.server import site
from deployer.test_server import files, host_of


def test_nginx_of_a_web_host_believes_its_balancer_alone(fleet):
    """A web host serves all names, and takes a visitor's address only from the balancer's."""
    wanted = files(fleet, "web1")
    assert "server_name shop.example www.shop.example;" in wanted["/etc/nginx/shop/public.conf"]
    assert "set_real_ip_from 10.0.0.10;" in wanted["/etc/nginx/shop/app.conf"]
    assert "10.0.0.10 balancer;" in wanted["/etc/nginx/sites-available/shop"]
    links = [each.links for each in site.sites(fleet, host_of(fleet, "web1"), True)]
    assert links == [{"/etc/nginx/sites-enabled/shop": "../sites-available/shop"}]


def test_nginx_knows_where_passwords_go(data):
    """To the admin's, unless the file says otherwise; a dot in a path is a dot."""
    path = "/etc/nginx/sites-available/shop"
    usual = files(config.build(data, {}, "test"), "web1")[path]
    assert '\n    "~^POST:/admin/login/$" 1;\n}' in usual
    data["site"] |= {"login_paths": ["/a.b/", "/in/"]}
    wanted = files(config.build(data, {}, "test"), "web1")[path]
    assert '    "~^POST:/a\\.b/$" 1;\n"~^POST:/in/$" 1;\n}' in wanted and "/admin/" not in wanted


@pytest.mark.parametrize("media, taken, most", [("database", "32m", "128"), ("bucket", "1024m", "65535")])
def test_nginx_limits_downloads_out_of_the_database(data, media, taken, most):
    """At the web hosts and before them; where uploads are elsewhere all is as nginx has it."""
    fleet = config.build({**data, "media": media}, {}, "test")
    web = files(fleet, "web1")["/etc/nginx/shop/app.conf"]
    front = files(fleet, "front")["/etc/nginx/shop-balancer/app.conf"]
    assert f"proxy_max_temp_file_size {taken};" in web and f"limit_conn shop_uploads {most};" in web
    passed = {"32m": "0"}.get(taken, taken)
    assert f"location ^~ /media/ {{ proxy_max_temp_file_size {passed}; " in front


def test_nginx_of_a_balancer_knows_all_web_hosts(fleet):
    """A balancer passes on to every web host, at its inner address."""
    text = files(fleet, "front")["/etc/nginx/sites-available/shop-balancer"]
    assert re.findall(r"^\s*server (\S+)", text, re.MULTILINE) == ["10.0.0.11", "10.0.0.12:8080"]


def test_a_balancer_sends_nobody_to_who_is_out(fleet):
    """They stay in the list, so that who is out keeps the requests that it has."""
    out = site.Out(("web2",))
    balancer, = site.sites(fleet, host_of(fleet, "front"), True, out)
    text = balancer.files["/etc/nginx/sites-available/shop-balancer"]
    assert "server 10.0.0.11 max_fails" in text and "server 10.0.0.12:8080 down max_fails" in text
    drained, path = "/etc/nginx/shop-balancer/drained", "/etc/nginx/sites-available/shop-balancer"
    assert balancer.files[drained] == "web2\n"
    assert site.hosts_site(fleet, out).files == {path: text, drained: "web2\n"}
    change = site.hosts_site(fleet, site.Out())
    assert change.files.keys() == {path} and change.absent == (drained,) and " down" not in change.files[path]


def test_somebody_is_left_for_visitors(fleet):
    """Not all web hosts are out, for whatever reason."""
    assert site.nobody_left(fleet, site.Out(("web1",))) == site.nobody_left(fleet, site.Out((), ("web2",))) == ""
    wrong = "would have no host for visitors: make undrain HOST=web1"
    assert site.nobody_left(fleet, site.Out(("web1",), ("web2",))) == wrong
    assert site.nobody_left(fleet, site.Out(("web2", "web1"))) == wrong


def test_who_is_drained_besides(fleet):
    """Names that the file no longer has are forgotten; twice is no harm."""
    assert site.drained(fleet, [], "web2", True) == site.drained(fleet, ["web2", "old"], "web2", True) == ("web2",)
    assert site.drained(fleet, ["web1"], "web2", True) == ("web1", "web2")
    assert site.drained(fleet, ["web1", "web2"], "web2", False) == ("web1",)
    assert site.drained(fleet, ["web2", "old"]) == ("web2",)


def test_who_does_not_answer_is_left_out_while_another_does():
    """Before the first deploy nobody does, and that deploy reaches all."""
    assert site.silent({"web1": True, "web2": False}) == ("web2",)
    assert site.silent({"web1": False, "web2": False}) == site.silent({}) == ()


def test_a_balancer_believes_the_proxies_before_it(data):
    """Where TLS ends before the balancer, proxies are its business: it takes their word, and not its own."""
    data["site"].update(tls="elsewhere", proxies=["192.0.2.0/24"])
    wanted = files(config.build(data, {}, "test"), "front")
    assert "set_real_ip_from 192.0.2.0/24;\n" in wanted["/etc/nginx/shop-balancer/app.conf"]
    assert "    default  \"\";\n    192.0.2.0/24 proxy;\n}" in wanted["/etc/nginx/sites-available/shop-balancer"]
    assert not any("10.0.0.10" in content for path, content in wanted.items() if "/nginx/" in path)


def test_tls_ends_at_the_balancer_where_there_is_one(data):
    """With a balancer, the web hosts behind it speak http, and say https of the visitor's request."""
    data["site"].update(tls="files", certificate="/etc/ssl/shop.pem", key="/etc/ssl/shop.key")
    fleet = config.build(data, {}, "test")
    assert "ssl_certificate /etc/ssl/shop.pem;" in files(fleet, "front")["/etc/nginx/shop-balancer/public.conf"]
    assert "ssl" not in files(fleet, "web1")["/etc/nginx/shop/public.conf"]
    assert "~^private:      https;" in files(fleet, "web1")["/etc/nginx/sites-available/shop"]
    del data["hosts"]["front"]
    assert "ssl_certificate /etc/ssl/shop.pem;" in files(
        config.build(data, {}, "test"), "web1")["/etc/nginx/shop/public.conf"]


@pytest.mark.parametrize("there, tls", [(False, False), (True, True)])
def test_tls_waits_for_its_certificate(data, there, tls):
    """Without one nginx speaks http."""
    data["site"].update(tls="certbot", email="ops@shop.example")
    fleet = config.build(data, {}, "test")
    balancer, = site.sites(fleet, host_of(fleet, "front"), there)
    public = balancer.files["/etc/nginx/shop-balancer/public.conf"]
    assert ("ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem;" in public) == tls
    assert site.ends_tls(fleet, host_of(fleet, "front")) and not site.ends_tls(fleet, host_of(fleet, "web1"))


SITE = site.Site("shop", {"/etc/nginx/shop/app.conf": "x"},
                 {"/etc/nginx/sites-enabled/shop": "../sites-available/shop"}, ("/etc/nginx/sites-enabled/default",))


def test_nginx_tests_a_copy_before_anything_moves():
    """The files are put into a copy of /etc/nginx, which nginx tests as its own; each then comes by one rename."""
    copy = "/etc/nginx.new-shop"
    assert operations.in_copy(SITE, "/etc/nginx/shop/app.conf") == f"{copy}/shop/app.conf"
    assert f"ln -sfn ../sites-available/shop {copy}/sites-enabled/shop" in operations.copy_script(SITE)
    before = operations.copy_script(SITE) + operations.test_script(SITE)
    assert not re.search(r"(mv|rm|ln|mkdir)[^\n]* /etc/nginx/", before)
    script = operations.swap_script(SITE)
    assert f"mv -fT {copy}/shop/app.conf /etc/nginx/shop/app.conf" in script
    assert script.endswith("systemctl reload nginx.service")
