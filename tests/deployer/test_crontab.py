"""Times of crontab, which the servers' file refuses by naming systemd's form of them."""

import subprocess

import pytest

from slipway.deploy.config.crontab import calendar, is_crontab

TIMES = {
    "@daily": "daily",
    "@Midnight": "daily",
    " @daily": "daily",
    "@annually": "yearly",
    "0 4 * * *": "*-*-* 04:00",
    "*/15 * * * *": "*-*-* *:00/15",
    "*  *  *  *  *": "*-*-* *:*",
    "30 9-17/2 * * 1-5": "Mon..Fri *-*-* 09..17/2:30",
    "5,35 6 1 */3 *": "*-01/3-01 06:05,35",
    "0 0 1 jan,jul *": "*-01,07-01 00:00",
    "0 0 * * sun": "Sun *-*-* 00:00",
    "0 0 * * 5-7": "Fri,Sat,Sun *-*-* 00:00",
    "0 0 * * 0-7": "*-*-* 00:00",
    "0 0 * * */2": "Tue,Thu,Sat,Sun *-*-* 00:00",
}
NO_FORM = ["@reboot", "@", "0 0 1 * mon", "0 0 4 * * *", "61 * * * *", "0 0 31 13 *", "*/0 * * * *", "0 L * * *"]
NO_FORM += ["0 4 * * fri-sun", "0 22-2 * * *", "*/70 * * * *"]  # crontab refuses these, too


@pytest.mark.parametrize("text", TIMES)
@pytest.mark.needs("systemd-analyze")
def test_a_time_of_crontab_has_a_form_that_systemd_takes(text):
    assert is_crontab(text) and calendar(text) == TIMES[text]
    done = subprocess.run(["systemd-analyze", "calendar", TIMES[text]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", NO_FORM)
def test_a_time_without_such_a_form(text):
    """A day of the month and one of the week are both kept by crontab, and must coincide for systemd."""
    assert is_crontab(text) and calendar(text) == ""


@pytest.mark.parametrize("text", ["", "daily", "*-*-* 06:30", "Mon..Fri *-*-* 09:00 Europe/Berlin", "*:0/15"])
def test_times_of_systemd_are_none_of_crontab(text):
    assert not is_crontab(text)
