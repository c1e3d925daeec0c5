# The command with the kernels of all formats compiled:
#
#     docker build --tag quantize .
#     docker run --rm --user "$(id -u)" -v "$PWD":/work quantize /work/model -f q4_k_m -o /work/out/
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY quantize_cli quantize_cli
COPY constraints.txt ./
RUN python -m venv /opt/quantize \
    && /opt/quantize/bin/pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.13-slim
COPY --from=build /opt/quantize /opt/quantize
ENV PATH=/opt/quantize/bin:$PATH
# Root compiles, so no other user may change the kernels, and every user may load them.
RUN NUMBA_CACHE_DIR=/opt/quantize/kernels quantize warm
ENV NUMBA_CACHE_DIR=/opt/quantize/kernels \
    HF_HOME=/tmp/huggingface
RUN useradd --uid 10001 --no-create-home quantize
USER quantize
WORKDIR /work
ENTRYPOINT ["quantize"]
CMD ["--help"]
