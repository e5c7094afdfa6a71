/**
 * The server's side of one SCRAM login (RFC 5802, RFC 7677), as a pure function of what was said: it draws no randomness and
 * looks nothing up by itself.
 *
 *   client-first   n,,n=user,r=<client nonce>                      ▶
 *                                                                  ◀  server-first   r=<both nonces>,s=<salt>,i=<iterations>
 *   client-final   c=biws,r=<both nonces>,p=<proof>                ▶
 *                                                                  ◀  server-final   v=<signature>
 *
 * Absent: channel binding. TLS 1.3 has no `tls-unique`, and Node does not hand out exporter keys for all its forms; a client
 * that demands binding (`p=…`) is refused, one that could but sees that we do not (`y`) is taken, since no method that ends in
 * `-PLUS` is offered here. Absent too: acting for somebody else (authzid), unless it is the user himself.
 */
import { timingSafeEqual } from 'node:crypto'
import { hash, hmac, type ScramMethod, type ScramRecord } from './scram-record.ts'

/** Longest message of a client, bytes. */
export const MESSAGE_BYTES_MAX = 4_096

export interface ClientFirst {
  readonly username: string
  /** `n,,` or `y,,` and so on, as it was. */
  readonly header: string
  /** The message without that. */
  readonly bare: string
  readonly nonce: string
}

/** What the server remembers between its two messages. */
export interface Challenge {
  readonly first: ClientFirst
  readonly record: ScramRecord
  readonly nonce: string
  /** The message it sent. */
  readonly text: string
}

/** The client's first message, or why it is refused. */
export function readClientFirst(data: Uint8Array): ClientFirst | string {
  const text = textOf(data)
  if (text === undefined) return 'the message is too long or no text'
  const match = /^(([ny])|p=[A-Za-z0-9.-]+),(?:a=([^,]*))?,(.*)$/s.exec(text)
  if (match === null) return 'the message is malformed'
  const [, , flag, authzid, bare = ''] = match
  if (flag === undefined) return 'channel binding is not supported'
  if (bare.startsWith('m=')) return 'an extension is demanded that is not supported'
  const fields = /^n=([^,]+),r=([\x21-\x2b\x2d-\x7e]{8,256})(?:,[A-Za-z]=[^,]*)*$/.exec(bare)
  const username = saslName(fields?.[1])
  const nonce = fields?.[2]
  if (username === undefined || nonce === undefined) return 'the message is malformed'
  if (authzid !== undefined && saslName(authzid) !== username) return 'acting for another user is not supported'
  return { username, header: text.slice(0, text.length - bare.length), bare, nonce }
}

/** `nonce`: the server's part, printable without comma. */
export function challenge(first: ClientFirst, record: ScramRecord, nonce: string): Challenge {
  const both = first.nonce + nonce
  const text = `r=${both},s=${Buffer.from(record.salt).toString('base64')},i=${record.iterations}`
  return { first, record, nonce: both, text }
}

/** The server's last message if the client knows the password, else why not. Costs the same for every record of a method. */
export function finish(
  { first, record, nonce, text }: Challenge,
  data: Uint8Array,
): { readonly data: Buffer } | string {
  const final = textOf(data)
  const match =
    final === undefined ? null : /^(c=([^,]*),r=([^,]*)(?:,[A-Za-z]=[^,]*)*),p=([A-Za-z0-9+/]+={0,2})$/.exec(final)
  if (match === null) return 'the message is malformed'
  const [, withoutProof, binding = '', bothNonces, proofText = ''] = match
  if (bothNonces !== nonce) return 'the nonce is not the one that was agreed'
  if (Buffer.from(binding, 'base64').toString('latin1') !== Buffer.from(first.header, 'utf8').toString('latin1')) {
    return 'the channel binding is not the one that was agreed'
  }
  const { method } = record
  const signed = `${first.bare},${text},${withoutProof}`
  const signature = hmac(method, record.storedKey, signed)
  const proof = Buffer.from(proofText, 'base64')
  if (proof.length !== signature.length) return 'the proof is not right'
  const clientKey = Buffer.from(proof.map((byte, i) => byte ^ (signature[i] as number)))
  const answer = Buffer.from(`v=${hmac(method, record.serverKey, signed).toString('base64')}`)
  return timingSafeEqual(hash(method, clientKey), record.storedKey) ? { data: answer } : 'the proof is not right'
}

/**
 * A record that nobody's password fits, for a user who is not there: the same one each time he is asked for, so that it cannot
 * be told from a real one by asking twice.
 */
export function unknownRecord(
  username: string,
  {
    method,
    iterations,
    saltBytes,
    secret,
  }: {
    readonly method: ScramMethod
    readonly iterations: number
    readonly saltBytes: number
    readonly secret: Uint8Array
  },
): ScramRecord {
  const of = (what: string): Buffer => hmac('SCRAM-SHA-512', secret, `${what}\0${method}\0${username}`)
  const bytes = hash(method, new Uint8Array(0)).length
  return {
    method,
    iterations,
    salt: of('salt').subarray(0, saltBytes),
    storedKey: of('stored').subarray(0, bytes),
    serverKey: of('server').subarray(0, bytes),
  }
}

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function textOf(data: Uint8Array): string | undefined {
  if (data.length > MESSAGE_BYTES_MAX) return undefined
  try {
    return strict.decode(data)
  } catch {
    return undefined
  }
}

/** `=2C` is a comma and `=3D` an equals sign; any other `=` is malformed. */
function saslName(text: string | undefined): string | undefined {
  if (text === undefined || text === '' || text.includes('\0') || /=(?!2C|3D)/.test(text)) return undefined
  return text.replaceAll('=2C', ',').replaceAll('=3D', '=')
}
