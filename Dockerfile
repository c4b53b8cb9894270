# One image for every role: the whole bot, a gateway, a worker. It holds no secret and no setting of anybody's.
FROM python:3.12-slim AS build
WORKDIR /src
RUN pip install --no-cache-dir uv==0.13.9
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/panelist UV_PYTHON_DOWNLOADS=never
# What is depended on changes seldom, and is a layer of its own. The built-in model is left out; --extra local adds it.
COPY pyproject.toml uv.lock ./
RUN uv sync --frozen --no-install-project
COPY README.md ./
COPY bot bot
COPY teams teams
COPY adapters adapters
RUN uv sync --frozen --no-editable

FROM python:3.12-slim
RUN groupadd --gid 10001 panelist \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin panelist \
    && install -d -m 0700 -o 10001 -g 10001 /data
COPY --from=build /opt/panelist /opt/panelist
# A platform that sets PORT itself has its way.
ENV PATH=/opt/panelist/bin:$PATH PYTHONUNBUFFERED=1 PANELIST_HOME=/data PORT=3000
USER 10001:10001
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 CMD ["python", "-c", "\
import http.client, os; \
server = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=4); \
server.request('GET', '/healthz'); \
raise SystemExit(server.getresponse().status != 200)"]
CMD ["panelist", "serve"]
