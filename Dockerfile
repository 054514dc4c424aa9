# SPDX-License-Identifier: Apache-2.0
#
#   docker build -t thaw .
#   docker run --rm -u "$(id -u)" -v "$PWD:/work" -v thaw-weights:/weights thaw fit photos --run runs/mine
#
# The first stage makes the Debian package as `make deb` does, the second installs it. Weights are put
# in the volume /weights, so that they are fetched once; /work is where photos and runs are.

ARG SWIFT=6.3
FROM swift:${SWIFT}-bookworm AS build
WORKDIR /thaw
COPY . .
RUN Tools/setup.sh
RUN apt-get update && apt-get install -y --no-install-recommends dpkg-dev
RUN make deb && mv .build-static/thaw_*.deb /thaw.deb

FROM debian:bookworm-slim
RUN --mount=type=bind,from=build,source=/thaw.deb,target=/tmp/thaw.deb \
  apt-get update \
  && apt-get install -y --no-install-recommends /tmp/thaw.deb ca-certificates curl python3-pip \
  && rm -rf /var/lib/apt/lists/*
# Anybody may be given with -u; none of them has a home here.
RUN mkdir -m 1777 -p /weights/thaw /work
ENV XDG_CACHE_HOME=/weights
VOLUME /weights
WORKDIR /work
USER nobody
ENTRYPOINT ["thaw"]
