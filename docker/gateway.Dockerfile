# Gateway, sweep, write-back, migrations and the command line: no engine, no torch, no CUDA.
#   docker build --file docker/gateway.Dockerfile --tag ticket-triage-gateway .
FROM python:3.12-slim AS built
WORKDIR /app
COPY pyproject.toml README.md ./
COPY requirements requirements
COPY schemas schemas
COPY migrations migrations
COPY worker worker
RUN requirements/install.sh gateway --without-dev && python -m compileall -q worker schemas migrations

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home triage
COPY --from=built /app /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    TRIAGE_GATEWAY_HOST=0.0.0.0
WORKDIR /home/triage
USER 10001
EXPOSE 8080
ENTRYPOINT ["triage"]
CMD ["gateway"]
