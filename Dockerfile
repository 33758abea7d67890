# The image, and what it takes to make it. `make build` is the way to call this; docs/image.md tells the rest.
ARG BASE=debian:trixie-slim

# ---- base: what the image and all stages have: Python and the libraries of packages.txt ----
# hadolint ignore=DL3006
FROM ${BASE} AS base
ENV DEBIAN_FRONTEND=noninteractive
COPY packages.txt /etc/packages.txt
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
    $(sed 's/#.*//; /^build:/d' /etc/packages.txt) \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/*-old /var/log/apt /var/log/dpkg.log \
 && install -d -m 1777 /data
ENV PATH=/ve/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    DJANGO_SETTINGS_MODULE=project.settings_docker
WORKDIR /app

# ---- builder: makes the wheelhouse when it is run, see docker.mk ----
FROM base AS builder
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential python3-dev python3-venv \
    $(sed -n 's/#.*//; s/^build://p' /etc/packages.txt) \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /build
COPY make_wheelhouse.py requirements.txt requirements-dev.txt ./
CMD ["/build/bin/python", "make_wheelhouse.py", "requirements.txt", "requirements-dev.txt"]

# ---- deps: what production runs, in /ve; pip is run from its wheel and stays outside ----
FROM base AS deps
COPY wheelhouse/requirements.txt wheelhouse/*.whl /wheelhouse/
RUN python3 -m venv --without-pip /ve \
 && PYTHONPATH=/wheelhouse/pip.whl python -m pip install --no-cache-dir --root-user-action=ignore --quiet \
    --no-index --find-links=/wheelhouse --require-hashes -r /wheelhouse/requirements.txt

# ---- app: the code, compiled, and its static files; only what production has is there to do it with ----
FROM deps AS app
COPY manage.py docker-run.sh ./
COPY docker-run.d docker-run.d
COPY project project
# Modes as any user needs them, whatever the umask of the checkout; bytecode that does not depend on file times.
RUN chmod -R u=rwX,go=rX . \
 && python -m compileall -q --invalidation-mode unchecked-hash manage.py project \
 && SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex(32))') \
 && export SECRET_KEY SITE_URL=http://localhost DATABASE_URL=sqlite://:memory: \
 && python manage.py collectstatic --no-input --verbosity 0 \
 && ./docker-run.sh compress

# ---- test: an image whose tests fail is not made, as the last stage needs what this one leaves ----
FROM deps AS test
ARG TEST_DATABASE=sqlite
# hadolint ignore=DL3008
RUN if [ "$TEST_DATABASE" = postgres ]; then apt-get update \
 && apt-get install -y --no-install-recommends postgresql postgresql-common && rm -rf /var/lib/apt/lists/*; fi
COPY wheelhouse/dev /wheelhouse/dev
RUN PYTHONPATH=/wheelhouse/pip.whl python -m pip install --no-cache-dir --root-user-action=ignore --quiet \
    --no-index --find-links=/wheelhouse --find-links=/wheelhouse/dev --require-hashes -r /wheelhouse/dev/requirements.txt
COPY docker-test.sh /
COPY --from=app /app ./
RUN TEST_DATABASE="$TEST_DATABASE" /docker-test.sh /results

# ---- the image; what changes least comes first ----
FROM base
COPY --from=deps /ve /ve
COPY --from=app /app/static-root static-root
COPY --from=app /app/docker-run.d docker-run.d
COPY --from=app /app/project project
COPY --from=app /app/manage.py /app/docker-run.sh ./
COPY --from=test /results ./
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/app/docker-run.sh", "healthcheck"]
ENTRYPOINT ["/app/docker-run.sh"]
CMD ["run"]
ARG RELEASE=development
ARG REVISION=unknown
ENV RELEASE=$RELEASE
LABEL org.opencontainers.image.version=$RELEASE org.opencontainers.image.revision=$REVISION
