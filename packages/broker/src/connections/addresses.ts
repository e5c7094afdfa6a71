/** Addresses that clients and probes come to: binding, how they are written, and errors that say what to do. */
import { type AddressInfo, createServer, type ListenOptions, type Server } from 'node:net'
import type { ListenerOptions } from '../config/options.ts'
import { ConcordError, type ConcordErrorCode, reasonOf, systemCode } from '../errors.ts'

/** Storms of reconnecting clients fill the accept queue faster than one turn of the loop empties it; Node's 511 is short. */
const backlog = 4_096

/** Name of a listener in logs, `TransportInfo` and its handle. */
export function listenerName(options: ListenerOptions): string {
  return options.name ?? options.kind
}

/** Several listeners on one address, among which the system spreads connections: the first of them, or one that joins it. */
export type PortSharing = 'first' | 'joins'

/** Binds the server; resolves when clients can connect. */
export async function bind(
  server: Server,
  options: ListenerOptions,
  { portSharing }: { readonly portSharing?: PortSharing | undefined } = {},
): Promise<void> {
  const where: ListenOptions =
    options.kind === 'unix' ? { path: options.path } : { host: hostOf(options.host), port: options.port }
  try {
    if (portSharing === undefined || options.kind === 'unix') await listen(server, where)
    else {
      // Another program that shares its port would let this one in, and each would get some of the other's clients.
      if (portSharing === 'first' && options.port !== 0) await listenAndClose(where)
      await listen(server, { ...where, reusePort: true })
    }
  } catch (cause) {
    throw listenError(options.kind === 'unix' ? options.path : formatAddress(hostOf(options.host), options.port), cause)
  }
}

function listen(server: Server, where: ListenOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ ...where, backlog }, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
}

async function listenAndClose(where: ListenOptions): Promise<void> {
  const server = createServer((socket) => socket.destroy())
  await listen(server, where)
  await new Promise((resolve) => server.close(resolve))
}

/** `127.0.0.1:1883`, `[::1]:1883`, or the path of a Unix socket, with the real port. */
export function boundAddress(server: Server): { readonly address: string; readonly port: number } {
  const bound = server.address() as AddressInfo | string | null
  if (bound === null || typeof bound === 'string') return { address: bound ?? '', port: 0 }
  return { address: formatAddress(bound.address, bound.port), port: bound.port }
}

/** The address of the other end; a dual-stack socket shows IPv4 clients as `::ffff:127.0.0.1`, which nobody writes in a rule. */
export function remoteAddressOf(socket: { readonly remoteAddress?: string | undefined }): string {
  const address = socket.remoteAddress ?? ''
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address
}

/** Turns a failed `listen` into an error that says what to do. */
export function listenError(address: string, cause: unknown): ConcordError {
  const [code, why] = listenProblems[systemCode(cause)] ?? (['CMQ_LISTEN_FAILED', reasonOf(cause)] as const)
  return new ConcordError(code, `Cannot listen on ${address}: ${why}`, { cause })
}

const listenProblems: Readonly<Record<string, readonly [ConcordErrorCode, string]>> = {
  EADDRINUSE: ['CMQ_ADDRESS_IN_USE', 'the address is taken'],
  EACCES: ['CMQ_ADDRESS_FORBIDDEN', 'the system does not allow it'],
  EPERM: ['CMQ_ADDRESS_FORBIDDEN', 'the system does not allow it'],
  EROFS: ['CMQ_ADDRESS_FORBIDDEN', 'the file system is read-only'],
  EADDRNOTAVAIL: ['CMQ_ADDRESS_UNAVAILABLE', 'this machine does not have the address'],
  EAFNOSUPPORT: ['CMQ_ADDRESS_UNAVAILABLE', 'this machine does not have the address family'],
  ENOTFOUND: ['CMQ_ADDRESS_UNAVAILABLE', 'the host name is unknown'],
  EAI_AGAIN: ['CMQ_ADDRESS_UNAVAILABLE', 'the host name cannot be resolved now'],
  ENOTSUP: ['CMQ_WORKERS', 'this system does not spread connections over several listeners'],
  ENOENT: ['CMQ_ADDRESS_UNAVAILABLE', 'the folder does not exist'],
}

function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

/** Brackets are how people write IPv6 beside a port; the system wants it without. */
function hostOf(host: string | undefined): string {
  const name = host ?? '127.0.0.1'
  return name.startsWith('[') && name.endsWith(']') ? name.slice(1, -1) : name
}
