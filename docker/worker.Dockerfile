# A worker with its engine, for a GPU or for a CPU.
#   docker build --file docker/worker.Dockerfile --build-arg KIND=gpu --tag ticket-triage-worker:gpu .
FROM python:3.12-slim AS built
ARG KIND=gpu
WORKDIR /app
COPY pyproject.toml README.md ./
COPY requirements requirements
# First what rarely changes, over empty packages: what it installs is gigabytes.
RUN for package in worker schemas migrations models; do \
      mkdir "$package" && touch "$package/__init__.py"; \
    done && requirements/install.sh "$KIND" --without-dev
COPY schemas schemas
COPY migrations migrations
COPY models models
COPY worker worker
RUN .venv/bin/python -m compileall -q worker schemas migrations models

FROM python:3.12-slim
# A C compiler, for kernels that are compiled where they run; libnuma, for the CPU build; an init,
# as the first process of a container does not end by a signal while its engine starts.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ libnuma1 tini \
    && rm -rf /var/lib/apt/lists/*
# Downloaded models and compiled kernels are kept in volumes: the rest may be read-only.
RUN useradd --uid 10001 --create-home triage \
    && install --directory --owner 10001 /models /cache /run/triage
COPY --from=built /app /app
# The CUDA build wants driver 580 or newer: NVIDIA's toolkit says so instead of a restart loop.
ENV NVIDIA_REQUIRE_CUDA="cuda>=13.0"
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HF_HOME=/models HOME=/cache XDG_CACHE_HOME=/cache VLLM_CACHE_ROOT=/cache/vllm \
    TRITON_CACHE_DIR=/cache/triton TORCHINDUCTOR_CACHE_DIR=/cache/inductor \
    TRIAGE_GATES=/models/gates TRIAGE_READY_FILE=/run/triage/worker.ready TRIAGE_METRICS_HOST=0.0.0.0
WORKDIR /run/triage
USER 10001
VOLUME ["/models", "/cache"]
EXPOSE 9464
HEALTHCHECK --start-period=30m --interval=10s CMD test -f /run/triage/worker.ready
ENTRYPOINT ["tini", "-s", "--", "triage"]
CMD ["worker"]
