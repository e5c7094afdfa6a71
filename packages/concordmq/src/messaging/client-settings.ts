/** From the flags of `pub` and `sub` to the options of the client, and from its errors to words and exit codes. */
import { readFileSync } from 'node:fs'
import {
  ClientError,
  type ClientErrorCode,
  type ClientNotices,
  type ClientOptions,
  parseServerUrl,
} from '@concordmq/client'
import type { ProtocolVersion } from '@concordmq/protocol'
import { CommandError, fileProblem } from '../command-error.ts'
import { ExitCode } from '../exit-codes.ts'
import type { ClientFlags } from './flags.ts'
import type { PropertyFlags } from './property-flags.ts'
import { integerFlag, qosFlag, usageError } from './read-flag.ts'

const VERSIONS: Readonly<Record<string, ProtocolVersion>> = {
  mqttv5: 5,
  5: 5,
  mqttv311: 4,
  4: 4,
  311: 4,
  mqttv31: 3,
  3: 3,
  31: 3,
}
const FOR_EVER = 0xffffffff

export interface ClientSettings {
  readonly options: ClientOptions
  /** From `-L`. */
  readonly topic: string | undefined
}

/** `firstLine` reads the password for `--password-stdin`. */
export async function readClientFlags(
  flags: ClientFlags,
  properties: PropertyFlags,
  firstLine: () => Promise<string>,
): Promise<ClientSettings> {
  const version = versionFrom(flags, Object.keys(properties).length > 0)
  const { url, username, password, topic } = serverFrom(flags)
  if (flags.passwordStdin === true && process.stdin.isTTY) {
    process.stderr.write('Password on standard input (it will be shown): ')
  }
  const secret = flags.passwordStdin === true ? await firstLine() : (flags.password ?? password)
  const name = flags.username ?? username
  if (secret !== undefined && name === undefined && version !== 5) {
    throw usageError('Cannot send a password without a user name in MQTT 3', 'Add -u')
  }
  const clientId = clientIdFrom(flags)
  const { sessionExpiryInterval: expiryProperty, ...connectProperties } = properties.connect ?? {}
  const { authenticationMethod, authenticationData: _, ...plainProperties } = connectProperties
  if (authenticationMethod !== undefined) {
    throw usageError(
      'Cannot use -D connect authentication-method',
      'Use the client library, which can answer the server',
    )
  }
  const expiry = expiryFrom(flags, version) ?? expiryProperty
  const { receiveMaximum, maximumPacketSize, topicAliasMaximum, ...others } = plainProperties
  const options: ClientOptions = {
    url,
    version,
    cleanStart: flags.disableCleanSession !== true,
    keepAlive: integerFlag('-k', flags.keepalive, [0, 65535], 60),
    ...(clientId !== undefined && { clientId }),
    ...(name !== undefined && { username: name }),
    ...(secret !== undefined && { password: secret }),
    ...(version === 5 && expiry !== undefined && { sessionExpiryInterval: expiry }),
    ...(receiveMaximum !== undefined && { receiveMaximum }),
    ...(maximumPacketSize !== undefined && { maximumPacketSize }),
    ...(topicAliasMaximum !== undefined && { topicAliasMaximum }),
    ...(version === 5 && Object.keys(others).length > 0 && { properties: others }),
    ...willFrom(flags, properties),
    tls: {
      ...(flags.cafile !== undefined && { ca: readPem('--cafile', flags.cafile) }),
      ...(flags.cert !== undefined && { cert: readPem('--cert', flags.cert) }),
      ...(flags.key !== undefined && { key: readPem('--key', flags.key) }),
      rejectUnauthorized: flags.insecure !== true,
    },
  }
  return { options, topic }
}

/** `-d`: what happens, on standard error. Never payloads or credentials. */
export function debugNotices(flags: ClientFlags): ClientNotices {
  const say = (text: string) => {
    if (flags.quiet !== true) process.stderr.write(`${text}\n`)
  }
  const debug = (text: string) => {
    if (flags.debug === true) say(text)
  }
  return {
    connected: ({ sessionPresent, properties }) =>
      debug(
        `Connected, session ${sessionPresent ? 'present' : 'new'}${properties ? ` ${JSON.stringify(properties)}` : ''}`,
      ),
    disconnected: ({ message }) => say(message),
    reconnecting: ({ server, delayMs }) => debug(`Connecting to ${server} again in ${delayMs} ms`),
    error: (error) => say(error instanceof Error ? error.message : String(error)),
  }
}

const REMEDIES: Partial<Record<ClientErrorCode, string>> = {
  CMQ_CONNECT_FAILED: 'Check host and port (-h, -p), whether a broker listens there, and with TLS --cafile',
  CMQ_TIMEOUT: 'Check that the port speaks MQTT, and with TLS that --cafile or -L mqtts:// is given',
  CMQ_REDIRECT_LIMIT: 'Connect to the server named, with -h and -p',
  CMQ_CONNECTION_LOST: 'Look into the log of the server for its reason',
}

/** The error of a client as the error of a command. */
export function commandError(error: unknown): unknown {
  if (!(error instanceof ClientError)) return error
  const { code, message, reasonCode } = error
  const remedy = code === 'CMQ_CONNECT_REFUSED' ? refusalRemedy(reasonCode) : REMEDIES[code]
  return new CommandError(exitCodeOf(error), message, { cause: error, ...(remedy !== undefined && { remedy }) })
}

/** A refusing CONNACK ends with its own code, as with the stock clients. */
function exitCodeOf({ code, reasonCode }: ClientError): number {
  if (code === 'CMQ_CONNECT_REFUSED' && reasonCode !== undefined) return reasonCode
  if (code === 'CMQ_CONNECT_FAILED' || code === 'CMQ_TIMEOUT') return ExitCode.unavailable
  return code === 'CMQ_OPTION' ? ExitCode.usage : ExitCode.failed
}

function refusalRemedy(reasonCode: number | undefined): string {
  switch (reasonCode) {
    case 4:
    case 5:
    case 0x86:
    case 0x87:
      return 'Give a user name with -u and the password in CONCORDMQ_PASSWORD or with --password-stdin'
    case 1:
    case 0x84:
      return 'Try another version with -V'
    case 2:
    case 0x85:
      return 'Give another client identifier with -i'
    default:
      return 'Look into the log of the server for its reason'
  }
}

function versionFrom({ protocolVersion }: ClientFlags, hasProperties: boolean): ProtocolVersion {
  const version = protocolVersion === undefined ? 5 : VERSIONS[protocolVersion.toLowerCase()]
  if (version === undefined) {
    throw usageError(`Cannot use -V "${protocolVersion}"`, 'Give mqttv5, mqttv311 or mqttv31')
  }
  if (hasProperties && version !== 5)
    throw usageError('Cannot send properties (-D) in MQTT 3', 'Leave out -V, or give mqttv5')
  return version
}

function serverFrom(flags: ClientFlags): { url: string; username?: string; password?: string; topic?: string } {
  const { cafile, cert, host, insecure, key, port, unix, url } = flags
  const wantsTls = cafile !== undefined || cert !== undefined || key !== undefined || insecure === true
  if (url !== undefined) {
    if (host !== undefined || port !== undefined || unix !== undefined) {
      throw usageError('Cannot use -L together with -h, -p or --unix', 'Put host and port into the URL')
    }
    try {
      const { address, ...rest } = parseServerUrl(url)
      if (wantsTls && address.scheme !== 'mqtts') {
        throw usageError(`Cannot use TLS flags with a URL of "${address.scheme}:"`, 'Use mqtts://')
      }
      return { url, ...rest }
    } catch (error) {
      throw commandError(error)
    }
  }
  if (unix !== undefined) return { url: `unix:${encodeURI(unix)}` }
  const number = integerFlag('-p', port, [1, 65535], wantsTls ? 8883 : 1883)
  const name = host ?? 'localhost'
  const address = name.includes(':') && !name.startsWith('[') ? `[${name}]` : name
  const text = `${wantsTls || number === 8883 ? 'mqtts' : 'mqtt'}://${address}:${number}`
  if (!URL.canParse(text) || new URL(text).pathname !== '') {
    throw usageError(`Cannot use -h "${name}"`, 'Give a name or an IP address; a URL goes with -L')
  }
  return { url: text }
}

function clientIdFrom({ disableCleanSession, id, idPrefix }: ClientFlags): string | undefined {
  if (id !== undefined && idPrefix !== undefined)
    throw usageError('Cannot use -i together with -I', 'Leave one of them out')
  if (id === undefined && disableCleanSession === true) {
    throw usageError('Cannot keep a session (-c) under a random client identifier', 'Give one with -i')
  }
  return id ?? (idPrefix === undefined ? undefined : `${idPrefix}${process.pid}`)
}

function expiryFrom(
  { disableCleanSession, sessionExpiryInterval }: ClientFlags,
  version: ProtocolVersion,
): number | undefined {
  if (sessionExpiryInterval === undefined) return disableCleanSession === true && version === 5 ? FOR_EVER : undefined
  if (version !== 5) throw usageError('Cannot use -x in MQTT 3', 'Leave out -V, or give mqttv5')
  if (sessionExpiryInterval === '-1' || sessionExpiryInterval === '∞') return FOR_EVER
  return integerFlag('-x', sessionExpiryInterval, [0, FOR_EVER], 0)
}

function willFrom(flags: ClientFlags, properties: PropertyFlags): Pick<ClientOptions, 'will'> {
  const { willPayload, willQos, willRetain, willTopic } = flags
  if (willTopic === undefined) {
    if (willPayload === undefined && willQos === undefined && willRetain === undefined && properties.will === undefined)
      return {}
    throw usageError('Cannot use a will without a topic', 'Add --will-topic')
  }
  return {
    will: {
      topic: willTopic,
      payload: willPayload ?? '',
      qos: qosFlag('--will-qos', willQos),
      retain: willRetain === true,
      ...(properties.will !== undefined && { properties: properties.will }),
    },
  }
}

function readPem(flag: string, file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new CommandError(ExitCode.inputOutput, `Cannot read ${flag} "${file}": ${fileProblem(error)}`, {
      remedy: 'Give the path of a PEM file',
    })
  }
}
