/**
 * Health for load balancers and orchestrators: `/healthz` says that the process turns (liveness: never tied to the cluster,
 * or a partition would restart every node), `/readyz` that clients may come. The names other brokers use answer the same.
 * No login: probes carry none, and nothing here is worth one. `/proof/<position>` is, since a proof holds messages, so it is for
 * this machine alone.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { bind, boundAddress } from '../connections/addresses.ts'
import { ConcordError } from '../errors.ts'

export interface HealthOptions {
  /** Who is asked. */
  readonly broker: { readonly ready: boolean }
  /** Further conditions of readiness by name, shown by `?verbose`; all must be true. */
  readonly checks?: () => Readonly<Record<string, boolean>>
  readonly host: string
  /** The text that proves a position of the log; without it there is no log to prove. */
  readonly proof?: (position: number) => Promise<string>
  /** 0 picks a free port. */
  readonly port: number
  /** How many ports to try, upwards from `port`. Default 1: a taken port is `CMQ_ADDRESS_IN_USE`. */
  readonly portTriesMax?: number
}

export interface HealthHandle {
  /** `127.0.0.1:18083`, with the real port. */
  readonly address: string
  readonly port: number
  close(): Promise<void>
}

type Probe = 'live' | 'ready'

/** Ours, then VerneMQ's, mochi's and comqtt's, EMQX's. */
const probes: ReadonlyMap<string, Probe> = new Map([
  ['/healthz', 'live'],
  ['/health', 'live'],
  ['/health/ping', 'live'],
  ['/healthcheck', 'live'],
  ['/readyz', 'ready'],
  ['/startupz', 'ready'],
  ['/health/listeners', 'ready'],
  ['/status', 'ready'],
])

/** A probe's request fits in one packet; whoever sends less in this time is cut. */
const requestTimeoutMs = 5_000
const headBytesMax = 8_192
/** Probes come one at a time; more at once is somebody else. */
const connectionsMax = 100

/** Opens the server. Rejects with a `ConcordError`. */
export async function openHealth(options: HealthOptions): Promise<HealthHandle> {
  const { host, port, portTriesMax = 1 } = options
  for (let step = 0; ; step++) {
    const server = makeServer(options)
    try {
      await bind(server, { kind: 'tcp', host, port: port + step })
      return handleOf(server)
    } catch (error) {
      const taken = error instanceof ConcordError && error.code === 'CMQ_ADDRESS_IN_USE'
      if (!taken || step + 1 >= portTriesMax || port + step >= 65_535) throw error
    }
  }
}

function makeServer(options: HealthOptions): Server {
  const server = createServer(
    {
      headersTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      connectionsCheckingInterval: requestTimeoutMs / 4,
      maxHeaderSize: headBytesMax,
    },
    (request, response) => answer(request, response, options),
  )
  server.maxConnections = connectionsMax
  return server
}

function handleOf(server: Server): HealthHandle {
  return {
    ...boundAddress(server),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function answer(request: IncomingMessage, response: ServerResponse, { broker, checks, proof }: HealthOptions): void {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const probe = probes.get(path)
  const position = /^\/proof\/(\d{1,16})$/u.exec(path)?.[1]
  if (position !== undefined && proof !== undefined && request.method === 'GET') {
    return void answerProof(request, response, { position: Number(position), proof })
  }
  if (probe === undefined) return reply(response, 404, 'Not found\n')
  if (request.method !== 'GET' && request.method !== 'HEAD') return reply(response, 405, 'Method not allowed\n')
  const all: Readonly<Record<string, boolean>> =
    probe === 'live' ? { alive: true } : { broker: broker.ready, ...checks?.() }
  const well = Object.values(all).every((holds) => holds)
  const status = well ? 200 : 503
  if (!new URLSearchParams(query).has('verbose'))
    return reply(response, status, well ? 'ok\n' : `not ready: ${failing(all)}\n`)
  reply(
    response,
    status,
    `${JSON.stringify({ status: well ? 'ok' : 'unavailable', checks: all })}\n`,
    'application/json',
  )
}

function failing(checks: Readonly<Record<string, boolean>>): string {
  return Object.keys(checks)
    .filter((name) => checks[name] === false)
    .join(', ')
}

async function answerProof(
  request: IncomingMessage,
  response: ServerResponse,
  { position, proof }: { readonly position: number; readonly proof: (position: number) => Promise<string> },
): Promise<void> {
  if (!isLoopback(request.socket.remoteAddress)) return reply(response, 403, 'Proofs are for this machine alone\n')
  try {
    reply(response, 200, await proof(position), 'application/json')
  } catch (error) {
    const status = !(error instanceof ConcordError) ? 500 : error.retryable ? 503 : 404
    reply(response, status, `${error instanceof Error ? error.message : String(error)}\n`)
  }
}

function isLoopback(address: string | undefined): boolean {
  return address !== undefined && /^(?:::ffff:)?127\.|^::1$/u.test(address)
}

function reply(response: ServerResponse, status: number, text: string, type = 'text/plain; charset=utf-8'): void {
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    connection: 'close',
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
  })
  response.end(text)
}
