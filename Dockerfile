# Production dependencies alone.
FROM node:26-trixie-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Their package.json files are workspaces: they bring dependencies of their own.
COPY plugins ./plugins
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# TypeScript to JavaScript. Without install scripts: the image has its Node already.
FROM node:26-trixie-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY plugins ./plugins
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY src ./src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json

FROM node:26-trixie-slim
ENV NODE_ENV=production \
    LLMROUTER_HOST=0.0.0.0 \
    LLMROUTER_DATA_DIR=/data
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY plugins ./plugins
# A new named volume takes this folder's owner.
RUN mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 4000
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT || 4000}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# No shell in between: signals reach Node.
CMD ["node", "dist/index.js"]
