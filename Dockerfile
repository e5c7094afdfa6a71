# The program in an image, built from this checkout:
#
#     docker build -t concordmq .
#     docker run --rm concordmq --version
#
# docs/guide/cluster.md runs four of them. What is installed are the packages as they are published, without sources and tests.

ARG NODE_IMAGE=node:24-trixie-slim

FROM ${NODE_IMAGE} AS packages
WORKDIR /source
COPY . .
RUN npm ci --no-audit --no-fund && npm run pack -- --out /packed

# deploy/image/package.json brings QUIC, which is optional, without its platform packages that are not published.
FROM ${NODE_IMAGE} AS program
WORKDIR /opt/concordmq
COPY deploy/image/package.json ./
COPY --from=packages /packed/ /packed/
RUN npm install --omit=dev --no-audit --no-fund --no-save --ignore-scripts /packed/*.tgz

FROM ${NODE_IMAGE}
COPY --from=program /opt/concordmq /opt/concordmq
# The user `node` of the base image is 1000:1000. Folders are his, so that volumes that are made from them are.
RUN ln -s /opt/concordmq/node_modules/.bin/concordmq /usr/local/bin/concordmq \
    && install -d -o 1000 -g 1000 -m 0700 /concordmq.d /concordmq.d/data
ENV NODE_ENV=production
USER 1000:1000
# `concordmq.d/`, where the program looks unless it is told otherwise, is /concordmq.d.
WORKDIR /
# MQTT, MQTT over TLS, WebSocket, WebSocket over TLS; nodes among each other over UDP (QUIC) and TCP (TLS); health.
EXPOSE 1883 8883 8080 8084 19793/udp 19793/tcp 18083
# Liveness only: /readyz says 503 in a cluster that has no quorum, and a restart does not give it one.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
    CMD ["node", "-e", "fetch('http://127.0.0.1:18083/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["concordmq"]
CMD ["run"]
