# Images of the service. The last stage, `runtime`, is what `docker build .` makes:
#
#   runtime    the lean service: ONNX Runtime, both models baked in, for 1 GiB and one CPU
#   lambda     the same for AWS Lambda
#   reference  Ultralytics and PaddleOCR themselves, about 8 GB
#
# A `last.pt` of your own in weights/ is compiled at build time, in the stage `models`.
#
# TORCH_INDEX is the address of a package index with CPU wheels of Torch; it saves the gigabytes of
# CUDA where Torch is needed (`reference`, and `models` for a last.pt of your own). These wheels are
# taken on the index's word, all other packages are held to the hashes in requirements/*.lock.

FROM python:3.12-slim-bookworm AS base
# Byte code is made with the image (below): at run time there is none to write, and no place for it
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONPATH=/app \
    PATH=/opt/anpr/bin:$PATH
WORKDIR /app

# --- what is installed, from the lock files ----------------------------------------------------
FROM base AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_NO_COMPILE=1 \
    PIP_ROOT_USER_ACTION=ignore
RUN ["python", "-m", "venv", "--without-pip", "/opt/anpr"]
RUN printf '#!/opt/anpr/bin/python\nimport sys\nfrom anpr.cli import main\nsys.exit(main())\n' \
      >/opt/anpr/bin/anpr && chmod 755 /opt/anpr/bin/anpr
COPY requirements/base.lock requirements/
RUN pip --python /opt/anpr/bin/python install --no-deps --require-hashes -r requirements/base.lock

# --- the models: verified, or compiled from a last.pt that the manifest does not know ----------
FROM packages AS models
ARG TORCH_INDEX=
COPY requirements/training.lock requirements/
COPY scripts/bake_weights.py scripts/install_torch ./
COPY anpr/ anpr/
COPY weights/ weights/
RUN python bake_weights.py check weights || { \
      [ $? -eq 3 ] && sh install_torch requirements/training.lock "$TORCH_INDEX"; \
    }
RUN python bake_weights.py bake weights /baked/weights && cp weights/README.md weights/LICENSE /baked/weights/

# --- the lean packages, without what is never run ----------------------------------------------
FROM packages AS lean
WORKDIR /opt/anpr/lib/python3.12/site-packages
RUN rm -rf onnxruntime/datasets onnxruntime/quantization onnxruntime/tools \
      onnxruntime/transformers cv2/data/*.xml numpy/f2py \
 && find . -depth -type d -name tests -exec rm -rf {} + \
 && find . -name '*.pyi' -delete \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash .

FROM base AS code
COPY LICENSE ./
COPY anpr/ anpr/
RUN ["python", "-m", "compileall", "-q", "--invalidation-mode", "checked-hash", "anpr"]

# --- what every image shares; each adds packages, models and, last, the code -------------------
FROM base AS service
# Without byte code every start would compile what it imports of the standard library anew. pip,
# which only builds need, goes
RUN useradd --system --uid 10001 --user-group --create-home --home-dir /home/anpr anpr \
 && rm -rf /usr/local/lib/python3.12/site-packages/pip* /usr/local/bin/pip* \
      /usr/local/lib/python3.12/ensurepip/_bundled \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
      -x '/(test|tests|idlelib|lib2to3|turtledemo|tkinter)/' /usr/local/lib/python3.12
# ONNX Runtime's wheels report their use to their makers unless told not to (from 1.31 on)
ENV ORT_DISABLE_TELEMETRY=1 \
    OMP_NUM_THREADS=1 \
    MKL_NUM_THREADS=1 \
    OPENCV_FOR_THREADS_NUM=1 \
    MALLOC_ARENA_MAX=2
# Nothing is written at run time: on Cloud Run the disk is memory. The models' portable compiled
# forms are baked in, and the memory is the container's own, so that idle models may stay
ENV ANPR_CACHE_DISABLED=true \
    ANPR_MODEL_IDLE_S=0
LABEL org.opencontainers.image.title="anpr" \
      org.opencontainers.image.description="Reads number plates from photographs" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only" \
      org.opencontainers.image.base.name="python:3.12-slim-bookworm"
USER 10001:10001
EXPOSE 8080
# bash alone: 2 ms of CPU each time, where Python with urllib takes 45 (Cloud Run does not look here:
# it has the probes of service.yaml)
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/${PORT:-8080}; printf 'GET /livez HTTP/1.0\\r\\n\\r\\n' >&3; read -rt 2 _ status _ <&3; [ \"$status\" = 200 ]"]
CMD ["anpr", "serve"]

# --- Ultralytics and PaddleOCR -----------------------------------------------------------------
FROM packages AS reference-packages
ARG TORCH_INDEX=
COPY requirements/reference.lock requirements/opencv.lock requirements/
COPY scripts/install_torch ./
RUN sh install_torch requirements/reference.lock "$TORCH_INDEX"
# PaddleX looks for the metadata of opencv-contrib-python, whose files and those of
# opencv-python-headless fight for the folder cv2: the headless ones are put there last
RUN pip --python /opt/anpr/bin/python install --no-deps --force-reinstall --require-hashes \
      -r requirements/opencv.lock \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/anpr/lib

FROM models AS reference-models
RUN python bake_weights.py bake --checkpoint weights /baked/weights \
 && cp weights/README.md weights/LICENSE /baked/weights/

FROM service AS reference
ENV ANPR_LOAD=eager \
    ANPR_DETECTOR=ultralytics \
    ANPR_READER=paddle \
    YOLO_CONFIG_DIR=/tmp \
    XDG_CACHE_HOME=/tmp
COPY --from=reference-packages /opt/anpr /opt/anpr
COPY --from=reference-models /baked/weights weights/
COPY --from=code /app ./

# --- AWS Lambda --------------------------------------------------------------------------------
FROM lean AS lambda-packages
WORKDIR /app
COPY requirements/lambda.lock requirements/
RUN awk '/^[a-z]/ { ours = /^(awslambdaric|mangum|simplejson|snapshot-restore-py)==/ } ours' \
      requirements/lambda.lock >requirements/own.lock \
 && pip --python /opt/anpr/bin/python install --no-deps --require-hashes -r requirements/own.lock \
 && python -m compileall -q --invalidation-mode unchecked-hash /opt/anpr/lib

FROM service AS lambda
# The first invocation loads the models, and later ones find them there
ENV ANPR_LOAD=lazy
COPY --from=lambda-packages /opt/anpr /opt/anpr
COPY --from=models /baked/weights weights/
COPY --from=code /app ./
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "awslambdaric"]
CMD ["anpr.aws.handler"]

# --- the service, as it is meant to run --------------------------------------------------------
FROM service AS runtime
ENV ANPR_LOAD=eager
COPY --from=lean /opt/anpr /opt/anpr
COPY --from=models /baked/weights weights/
COPY --from=code /app ./
