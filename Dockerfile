# The image of one node. Its configuration is mounted, its data is a volume:
#
#   docker run --init -v ./kittiwake:/etc/kittiwake:ro -v kittiwake-data:/var/lib/kittiwake -p 80:80 -p 443:443 kittiwake
#
# --init: apps started by the process driver are children of the node, and their orphans need someone to reap them.

# Any Debian-like image with Node 26 and npm
ARG BASE=node:26-slim

FROM ${BASE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No install scripts: the only one that the project allows fetches the Node that this image has already
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts --no-audit --no-fund

FROM ${BASE}
ENV NODE_ENV=production
WORKDIR /app
RUN mkdir -p /etc/kittiwake /var/lib/kittiwake && chown 10001:10001 /var/lib/kittiwake
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY bin bin
COPY package.json LICENSE ./

# By number, so that an orchestrator can see that it is not root
USER 10001:10001
VOLUME /var/lib/kittiwake
EXPOSE 80 443
STOPSIGNAL SIGTERM

# The address of the admin listener, where the configuration moves it
ENV KITTIWAKE_HEALTH_URL=http://127.0.0.1:4280/healthz
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["node", "-e", "fetch(process.env.KITTIWAKE_HEALTH_URL).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]

ENTRYPOINT ["node", "bin/kittiwake.js"]
CMD ["run", "--config", "/etc/kittiwake/kittiwake.toml"]
