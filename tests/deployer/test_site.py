"""nginx's files: decided without a server, so compared as they are."""

import pytest

from slipway.deploy import config
from slipway.deploy.server import site
from deployer.conftest import fleet_of
from deployer.test_server import files, host_of


OURS, FRONT = ({"app": f"/etc/nginx/{name}/app.conf", "public": f"/etc/nginx/{name}/public.conf",
                "site": f"/etc/nginx/sites-available/{name}"} for name in ("shop", "shop-balancer"))
ELSEWHERE = {"site.tls": "elsewhere", "site.proxies": ["192.0.2.0/24"]}
FILES = {"site.tls": "files", "site.certificate": "/etc/ssl/shop.pem", "site.key": "/etc/ssl/shop.key"}
WRITTEN = [  # what the file says otherwise, a host, one of its files → what is in it, what is not
    ({}, "web1", OURS["public"], ["server_name shop.example www.shop.example;"], []),
    # A visitor's address is believed of the balancer alone.
    ({}, "web1", OURS["app"], ["set_real_ip_from 10.0.0.10;"], []),
    ({}, "web1", OURS["site"], ["10.0.0.10 balancer;"], []),
    # Downloads out of the database are limited, at the web hosts and before them.
    ({"media": "database"}, "web1", OURS["app"], ["proxy_max_temp_file_size 32m;", "limit_conn shop_uploads 128;"], []),
    ({"media": "database"}, "front", FRONT["app"], ["location ^~ /media/ { proxy_max_temp_file_size 0; "], []),
    ({}, "web1", OURS["app"], ["proxy_max_temp_file_size 1024m;", "limit_conn shop_uploads 65535;"], []),
    ({}, "front", FRONT["app"], ["location ^~ /media/ { proxy_max_temp_file_size 1024m; "], []),
    # A balancer passes on to every web host, at its inner address. Proxies before it are its business.
    ({}, "front", FRONT["site"], ["server 10.0.0.11 ", "server 10.0.0.12:8080 "], ["10.0.0.10"]),
    (ELSEWHERE, "front", FRONT["app"], ["set_real_ip_from 192.0.2.0/24;\n"], ["10.0.0.10"]),
    (ELSEWHERE, "front", FRONT["site"], ["    default  \"\";\n    192.0.2.0/24 proxy;\n}"], ["10.0.0.10"]),
    # TLS ends at the balancer where there is one; those behind it say https of the visitor's request.
    (FILES, "front", FRONT["public"], ["ssl_certificate /etc/ssl/shop.pem;"], []),
    (FILES, "web1", OURS["public"], [], ["ssl"]), (FILES, "web1", OURS["site"], ["~^private:      https;"], []),
    ({**FILES, "hosts.front": None}, "web1", OURS["public"], ["ssl_certificate /etc/ssl/shop.pem;"], [])]


@pytest.mark.parametrize("changes, name, path, there, absent", WRITTEN)
def test_what_nginx_is_told(data, changes, name, path, there, absent):
    """By the file, for a host."""
    if "hosts.front" in changes:
        del data["hosts"]["front"]
    fleet = fleet_of(data, {key: value for key, value in changes.items() if value})
    text = files(fleet, name)[path]
    assert [words for words in there if words not in text] == [words for words in absent if words in text] == []


def test_a_site_is_put_in_place_by_a_link(fleet):
    """As Debian has it."""
    links = [each.links for each in site.sites(fleet, host_of(fleet, "web1"), True)]
    assert links == [{"/etc/nginx/sites-enabled/shop": "../sites-available/shop"}]


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
    for before, away, after in ((["web2", "old"], True, ["web2"]), (["web1"], True, ["web1", "web2"]),
                                (["web1", "web2"], False, ["web1"])):
        assert site.drained(fleet, before, "web2", away) == tuple(after)
    assert site.drained(fleet, ["web2", "old"]) == ("web2",)


def test_who_does_not_answer_is_left_out_while_another_does():
    """Before the first deploy nobody does, and that deploy reaches all."""
    assert site.silent({"web1": True, "web2": False}) == ("web2",)
    assert site.silent({"web1": False, "web2": False}) == site.silent({}) == ()


@pytest.mark.parametrize("there, tls", [(False, False), (True, True)])
def test_tls_waits_for_its_certificate(data, there, tls):
    """Without one nginx speaks http."""
    data["site"].update(tls="certbot", email="ops@shop.example")
    fleet = config.build(data, {}, "test")
    balancer, = site.sites(fleet, host_of(fleet, "front"), there)
    public = balancer.files["/etc/nginx/shop-balancer/public.conf"]
    assert ("ssl_certificate /etc/letsencrypt/live/shop.example/fullchain.pem;" in public) == tls
    assert site.ends_tls(fleet, host_of(fleet, "front")) and not site.ends_tls(fleet, host_of(fleet, "web1"))
