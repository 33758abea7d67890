# Build the image: `make build`, or without make `docker build .`. See docs/image.md.
ARG BASE=debian:trixie-slim
# The stage with the wheels: make brings them, else they are made.
ARG WHEELS=made

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
ENV PATH=/ve/bin:/own/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
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

# ---- builder: `make wheelhouse` runs this stage to make a wheel of each pin, in the folder wheelhouse ----
FROM postgres AS builder
# hadolint ignore=DL3008,SC2046
RUN apt-get update \
 && apt-get install -y --no-install-recommends g++ make python3-dev python3-pip-whl \
    $(sed -n 's/#.*//; s/^build://p' /etc/packages.txt) \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv --without-pip /ve
COPY docker/packages.txt vendo[r]/*.whl vendor/
COPY docker/packages.txt requirement[s]/*.txt requirements/
COPY docker/packages.txt pyproject.tom[l] uv.loc[k] requirements*.tx[t] ./

# ---- made: the wheels of a build without make ----
FROM builder AS made
ARG WHEELS
RUN if [ "$WHEELS" = made ]; then \
        PYTHONPATH=$(echo vendor/slipway_django-*.whl) python -m slipway.make.wheelhouse \
        requirements.txt requirements/dev.txt /nothing /wheelhouse; \
    fi

# ---- brought: the wheels that make has made ----
FROM base AS brought
COPY docker/packages.txt wheelhous[e]/*.whl /wheelhouse/
COPY docker/packages.txt wheelhous[e]/dev/*.whl /wheelhouse/dev/

# ---- wheels: either; the template's package, if it is from an index, in a folder of its own ----
# hadolint ignore=DL3006
FROM ${WHEELS} AS wheels
RUN mkdir /wheelhouse/own && find /wheelhouse -maxdepth 1 -name 'slipway_django-*' -exec mv {} /wheelhouse/own \;

# ---- deps: production's packages in /ve. uv runs from its wheel and is not in the image ----
# Delete only files that no package reads at run time. Other paths with "test" may be code, such as django.test.
FROM base AS deps
ENV UV_NO_CACHE=1 UV_OFFLINE=1 UV_NO_INDEX=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON=/ve/bin/python
COPY --from=wheels /wheelhouse/*.whl /wheelhouse/
RUN python3 -m venv --without-pip /ve \
 && python3 -m zipfile -e /wheelhouse/uv.whl /tmp/uv && install /tmp/uv/uv-*/scripts/uv /usr/bin/uv \
 && uv pip install --quiet /wheelhouse/*-*.whl \
 && for folder in /ve/lib/python3.*/site-packages; do echo /own >"$folder/own.pth"; done \
 && find /ve/lib -type f \( -name '*.po' -o -name '*.pot' -o -path '*/tests/*' -name 'test_*.py*' \) -delete
ARG PROJECT=project
ENV PROJECT=$PROJECT DJANGO_SETTINGS_MODULE=$PROJECT.settings_docker

# ---- tools: also what only the tests need ----
FROM deps AS tools
COPY --from=postgres /usr/lib/postgresql /usr/lib/postgresql
COPY --from=postgres /usr/share/postgresql /usr/share/postgresql
COPY --from=wheels /wheelhouse/dev /wheelhouse/dev
RUN find /wheelhouse/dev -name '*.whl' -exec uv pip install --quiet {} +

# ---- packages: the template's, in /own, as it changes more often than the others ----
FROM deps AS packages
COPY --from=wheels /wheelhouse/own /wheelhouse/own
COPY docker/packages.txt vendo[r]/slipway_django-*.whl /wheelhouse/own/
RUN mkdir /own && find /wheelhouse/own -name '*.whl' -exec uv pip install --quiet --no-deps --target /own {} +

# ---- source: the project's files as .dockerignore filters them, without those that only the build needs, and with
# compiled translations ----
FROM postgres AS source
COPY . ./
RUN find . -path '*/LC_MESSAGES/*.po' -exec \
    sh -ec 'for file; do msgfmt --check-format -o "${file%.po}.mo" "$file"; done' sh {} + \
 && mkdir -p docker/docker-run.d && mv docker/docker-run.d . \
 && rm -rf Dockerfile docker vendor requirements requirements*.txt uv.lock wheelhouse \
 && chmod -R u=rwX,go=rX .

# ---- app: compiled code and static files, made with only production's packages ----
FROM packages AS app
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
FROM tools AS test
ARG TEST_DATABASE=sqlite
ARG DRIFT_ALLOWED=
ARG TESTS="manage.py test"
COPY --from=packages /own /own
COPY --from=app /app ./
RUN cp "$(python -c 'import slipway.make as make; print(*make.__path__)')/docker-test.sh" / \
 && TEST_DATABASE="$TEST_DATABASE" TESTS="$TESTS" DRIFT_ALLOWED="$DRIFT_ALLOWED" sh /docker-test.sh tests /results
RUN sh /docker-test.sh verdicts /results

# ---- the image: layers that change least come first ----
FROM base
COPY --from=deps /ve /ve
COPY --from=packages /own /own
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
