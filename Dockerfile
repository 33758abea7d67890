# Build the image: `make build`. See docs/image.md.
ARG BASE=debian:trixie-slim

# ---- base: Python and the libraries of docker/packages.txt. All stages and the image start from it ----
# hadolint ignore=DL3006
FROM ${BASE} AS base
ENV DEBIAN_FRONTEND=noninteractive
COPY docker/packages.txt /etc/packages.txt
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
    $(sed 's/#.*//; /^build:/d' /etc/packages.txt) \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/cache/debconf/* /var/log/apt /var/log/dpkg.log \
    /usr/lib/python3.*/test /usr/lib/python3.*/pydoc_data /usr/lib/python3.*/lib-dynload/_test* \
 && install -d -m 1777 /data
ENV PATH=/ve/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app

# ---- postgres: Debian's Postgres and its libraries, to run tests and judge migrations; without its query compiler;
# and gettext, to compile translations ----
FROM base AS postgres
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-cache depends postgresql >/tmp/depends \
 && package=$(sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' /tmp/depends) \
 && apt-cache depends "$package" >/tmp/depends \
 && apt-get install -y --no-install-recommends gettext \
    $(sed -n '/llvm/d; s/.*Depends: \(lib[^ ]*\)$/\1/p' /tmp/depends) \
 && apt-get download "$package" && dpkg -x ./"$package"_*.deb / && rm ./"$package"_*.deb \
 && rm -rf /var/lib/apt/lists/* /usr/lib/postgresql/*/lib/bitcode /usr/lib/postgresql/*/lib/llvm* \
 && install -d /usr/lib/postgresql/shared && find /usr/lib/postgresql -type f -executable -o -name '*.so' >/tmp/programs \
 && ldd $(cat /tmp/programs) >/tmp/libraries \
 && cp -L $(sed -n '/\/libc\.so/d; s/.* => \(\/[^ ]*\) .*/\1/p' /tmp/libraries) /usr/lib/postgresql/shared/

# ---- builder: docker.mk runs this stage to make a wheel of each pin, in the folder wheelhouse ----
FROM postgres AS builder
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3-dev python3-pip-whl \
    $(sed -n 's/#.*//; s/^build://p' /etc/packages.txt) \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv --without-pip /ve
COPY requirements.txt requirements/dev.txt vendo[r]/*.whl vendor/
CMD ["sh", "-s", "vendor/requirements.txt", "vendor/dev.txt"]

# ---- deps: production's packages in /ve. pip runs from its wheel and is not installed ----
# Delete only files that no package reads at run time. Other paths with "test" may be code, such as django.test.
FROM base AS deps
COPY wheelhouse/*.whl /wheelhouse/
RUN python3 -m venv --without-pip /ve \
 && PYTHONPATH=/wheelhouse/pip.whl python -m pip install --no-cache-dir --root-user-action=ignore --quiet \
    --no-index /wheelhouse/*-*.whl \
 && find /ve/lib -type f \( -name '*.po' -o -name '*.pot' -o -path '*/tests/*' -name 'test_*.py*' \) -delete
ARG PROJECT=project
ENV PROJECT=$PROJECT DJANGO_SETTINGS_MODULE=$PROJECT.settings_docker

# ---- source: the project's files as .dockerignore filters them, without those that only the build needs, and with
# compiled translations ----
FROM postgres AS source
COPY . ./
RUN find . -path '*/LC_MESSAGES/*.po' -exec \
    sh -ec 'for file; do msgfmt --check-format -o "${file%.po}.mo" "$file"; done' sh {} + \
 && mkdir -p docker/docker-run.d && mv docker/docker-run.d . \
 && rm -rf Dockerfile docker vendor requirements requirements.txt wheelhouse \
 && chmod -R u=rwX,go=rX .

# ---- app: compiled code and static files, made with only production's packages ----
FROM deps AS app
COPY --from=source /app ./
RUN python -m compileall -q --invalidation-mode unchecked-hash . \
 && SECRET_KEY=$(python -c 'import secrets; print(secrets.token_hex(32))') \
 && export IMAGE_BUILD=1 SECRET_KEY SITE_URL=http://localhost DATABASE_URL=sqlite://:memory: \
 && python manage.py check \
 && python manage.py collectstatic --no-input --verbosity 0 \
 && ./docker-run.sh compress \
 && mv static-root /static-root

# ---- test: run the tests, and judge whether older code still runs after each migration. The last stage needs the
# results, so there is no image if the tests fail ----
FROM deps AS test
ARG TEST_DATABASE=sqlite
ARG DRIFT_ALLOWED=
ARG TESTS="manage.py test"
COPY --from=postgres /usr/lib/postgresql /usr/lib/postgresql
COPY --from=postgres /usr/share/postgresql /usr/share/postgresql
COPY wheelhouse/dev /wheelhouse/dev
RUN PYTHONPATH=/wheelhouse/pip.whl python -m pip install --no-cache-dir --root-user-action=ignore --quiet \
    --no-index /wheelhouse/dev/*.whl
COPY --from=app /app ./
RUN cp "$(python -c 'import slipway.make as make; print(*make.__path__)')/docker-test.sh" / \
 && TEST_DATABASE="$TEST_DATABASE" TESTS="$TESTS" DRIFT_ALLOWED="$DRIFT_ALLOWED" sh /docker-test.sh tests /results
RUN sh /docker-test.sh verdicts /results

# ---- the image: layers that change least come first ----
FROM base
COPY --from=deps /ve /ve
COPY --from=app /static-root static-root
COPY --from=app /app ./
COPY --from=test /results ./
ARG PROJECT=project
ENV PROJECT=$PROJECT DJANGO_SETTINGS_MODULE=$PROJECT.settings_docker
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/app/docker-run.sh", "healthcheck"]
ENTRYPOINT ["/app/docker-run.sh"]
CMD ["run"]
ARG RELEASE=development
ARG REVISION=unknown
ENV RELEASE=$RELEASE
LABEL org.opencontainers.image.version=$RELEASE org.opencontainers.image.revision=$REVISION
