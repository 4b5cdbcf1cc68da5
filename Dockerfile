# selfedit with its server. `docker build -t selfedit .`, or `docker compose up`; see docs/containers.md.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
# Where pip finds torch: the index for CPUs, or for a release of CUDA, that PyTorch's installation page names. Empty is
# pip's own; for Linux on x86-64 that has the CUDA build, which is large and runs on a CPU, too.
ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/selfedit
ENV PATH=/opt/selfedit/bin:$PATH
WORKDIR /build
# By itself: it is large, and stays as it is when selfedit changes.
COPY constraints.txt ./
RUN pip install -c constraints.txt ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} torch
COPY pyproject.toml README.md LICENSE ./
COPY selfedit selfedit
RUN pip install -c constraints.txt ".[serve,pdf,guard,watch]"

FROM python:${PYTHON}-slim
# Whoever runs it on a host has to be able to read a key file that only its owner can read.
ARG UID=1000
RUN useradd --uid "$UID" --home-dir /data --shell /usr/sbin/nologin selfedit \
    && install --directory --owner selfedit --mode 700 /data
COPY --from=build /opt/selfedit /opt/selfedit
ENV PATH=/opt/selfedit/bin:$PATH \
    SELFEDIT_HOME=/data/cache \
    HF_HOME=/data/cache/huggingface \
    OMP_WAIT_POLICY=passive \
    GOMP_SPINCOUNT=0 \
    PYTHONDONTWRITEBYTECODE=1
USER ${UID}
# The store is /data/.selfedit, models are in /data/cache.
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Answers 503, which is an error here, if the model's thread has ended.
HEALTHCHECK --interval=30s --timeout=10s --start-period=5m --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/healthz', timeout=8)"]
ENTRYPOINT ["selfedit"]
CMD ["serve", "--host", "0.0.0.0"]
