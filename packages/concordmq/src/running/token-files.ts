/** The keys that tokens are verified with, from the files that the `jwt.…` keys name. The secret comes by reference only. */
import type { TokenOptions } from '@concordmq/broker'
import { configurationError } from '../command-error.ts'
import type { Settings } from '../config/keys.ts'
import type { Configuration } from '../config/settings.ts'
import { readText, type TextFile } from '../files/read-text.ts'

const fileKeys = ['jwt.jwks-file', 'jwt.key-file', 'jwt.secret-file'] as const

/** The files that tokens depend on. */
export function tokenFiles(settings: Settings): string[] {
  return fileKeys.map((key) => settings[key]).filter((path) => path !== undefined)
}

/** Undefined: no tokens are taken. `warn` hears of a secret that others can read. */
export function readTokenOptions({ settings }: Configuration, warn: (file: string) => void): TokenOptions | undefined {
  const read = (key: (typeof fileKeys)[number]): TextFile | undefined => {
    const path = settings[key]
    return path === undefined ? undefined : readText(path, `Give an existing file to ${key}`)
  }
  const [jwks, pem, secret] = fileKeys.map(read)
  if (jwks === undefined && pem === undefined && secret === undefined) return undefined
  if (secret !== undefined && (secret.mode & 0o077) !== 0) warn(settings['jwt.secret-file'] ?? '')
  const algorithms = settings['jwt.algorithms']
  const issuer = settings['jwt.issuer']
  const audience = settings['jwt.audience']
  return {
    ...(jwks !== undefined && { jwks: jwks.text }),
    ...(pem !== undefined && { pem: pem.text }),
    ...(secret !== undefined && { secret: secretOf(secret.text, settings['jwt.secret-file'] ?? '') }),
    ...(algorithms.length > 0 && { algorithms }),
    ...(issuer !== '' && { issuer }),
    ...(audience !== '' && { audience }),
    leewaySeconds: settings['jwt.leeway-seconds'],
    requireExpiry: settings['jwt.require-expiry'],
    endsWithToken: settings['jwt.ends-connection'],
    userClaim: settings['jwt.user-claim'],
    publishClaim: settings['jwt.publish-claim'],
    subscribeClaim: settings['jwt.subscribe-claim'],
    carriedIn: settings['jwt.carried-in'],
  }
}

/** The line of a file, without its end; `base64:` before it says what it is. */
function secretOf(text: string, path: string): Uint8Array {
  const line = text.replace(/\r?\n$/, '')
  if (!line.startsWith('base64:')) return Buffer.from(line)
  const bytes = Buffer.from(line.slice(7), 'base64')
  if (bytes.length === 0) throw configurationError(`The secret in ${path} is not base64 after "base64:"`)
  return bytes
}
