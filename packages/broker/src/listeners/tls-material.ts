/**
 * Certificates and keys of a listener: checked before anything is opened or replaced, so that the caller reads which of
 * the three texts is wrong and why, instead of an OpenSSL code. Node would accept some of it (an empty `ca`, a chain whose
 * second half is garbage) and fail clients later. An expired certificate is told, not refused: a node whose clock is wrong
 * must still start.
 */
import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { createSecureContext, type Server, type TLSSocket, type TlsOptions } from 'node:tls'
import type { ListenerHandle, TlsMaterial } from '../config/options.ts'
import type { TransportInfo } from '../connections/transport.ts'
import { ConcordError, reasonOf } from '../errors.ts'
import type { Logger } from '../telemetry/logger.ts'

/** What `tls.createServer` and `setSecureContext` take. Throws a `ConcordError` `CMQ_TLS_…` for unusable material. */
export function tlsServerOptions(tls: TlsMaterial, listener: string, logger: Logger): TlsOptions {
  const chain = readCertificates(tls.cert, 'CMQ_TLS_CERTIFICATE', `Cannot use tls.cert of listener "${listener}"`)
  const key = readKey(tls.key, listener)
  const leaf = chain[0]
  if (leaf === undefined || !leaf.checkPrivateKey(key)) {
    throw new ConcordError(
      'CMQ_TLS_KEY_MISMATCH',
      `Cannot use tls.key of listener "${listener}": it does not belong to the certificate of "${subjectOf(leaf)}"`,
    )
  }
  warnOfDates(leaf, listener, logger)
  const options: TlsOptions = { cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' }
  if (tls.ca !== undefined) {
    readCertificates(tls.ca, 'CMQ_TLS_CA', `Cannot use tls.ca of listener "${listener}"`)
    options.ca = tls.ca
  } else if (tls.requireClientCertificate === true) {
    throw new ConcordError(
      'CMQ_TLS_CA',
      `Cannot use tls.requireClientCertificate of listener "${listener}" without tls.ca: no client would be accepted`,
    )
  }
  try {
    // The last word has OpenSSL: weak keys and forbidden algorithms pass everything above.
    createSecureContext(options)
  } catch (cause) {
    throw new ConcordError('CMQ_TLS_CERTIFICATE', `Cannot use tls of listener "${listener}": ${reasonOf(cause)}`, {
      cause,
    })
  }
  return options
}

/** Whether a client certificate is asked for, and whether a client without a valid one is refused. */
export function clientCertificatePolicy(tls: TlsMaterial): {
  readonly requestCert: boolean
  readonly rejectUnauthorized: boolean
} {
  const requestCert = tls.ca !== undefined
  return { requestCert, rejectUnauthorized: requestCert && tls.requireClientCertificate !== false }
}

const pemCertificate = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

function readCertificates(pem: string, code: 'CMQ_TLS_CERTIFICATE' | 'CMQ_TLS_CA', what: string): X509Certificate[] {
  const blocks = pem.match(pemCertificate) ?? []
  if (blocks.length === 0) throw new ConcordError(code, `${what}: it holds no PEM certificate`)
  if (blocks.length !== pem.split('-----BEGIN').length - 1) {
    throw new ConcordError(code, `${what}: it holds something else than whole PEM certificates`)
  }
  return blocks.map((block, index) => {
    try {
      return new X509Certificate(block)
    } catch (cause) {
      throw new ConcordError(code, `${what}: certificate ${index + 1} of ${blocks.length} cannot be read`, { cause })
    }
  })
}

function readKey(pem: string, listener: string): KeyObject {
  try {
    return createPrivateKey(pem)
  } catch (cause) {
    // OpenSSL's texts name routines, never key material.
    throw new ConcordError('CMQ_TLS_KEY', `Cannot use tls.key of listener "${listener}": ${reasonOf(cause)}`, { cause })
  }
}

function warnOfDates(leaf: X509Certificate, listener: string, logger: Logger): void {
  const now = new Date()
  const rule = now > leaf.validToDate ? 'expired' : now < leaf.validFromDate ? 'not valid yet' : undefined
  if (rule === undefined) return
  logger.warn(
    { event: 'tls.certificate', listener, validFrom: leaf.validFrom, validTo: leaf.validTo },
    `The certificate of listener "${listener}" is ${rule}: clients will refuse it`,
  )
}

function subjectOf(leaf: X509Certificate | undefined): string {
  return leaf?.subject?.replaceAll('\n', ', ') ?? ''
}

/** The client's certificate, if it was asked for, sent, and issued by one of the roots. */
export function verifiedCertificate(socket: TLSSocket): TransportInfo['certificate'] {
  if (!socket.authorized) return undefined
  const certificate = socket.getPeerX509Certificate()
  if (certificate === undefined) return undefined
  const commonName: unknown = certificate.toLegacyObject().subject?.CN
  return {
    // With several common names none is *the* name: a rule on the name must not pick the one that suits.
    commonName: typeof commonName === 'string' ? commonName : '',
    subjectAltName: certificate.subjectAltName ?? '',
    fingerprint256: certificate.fingerprint256,
    subject: certificate.subject.replaceAll('\n', ', '),
  }
}

/**
 * The handle's `reloadTls`: new connections get the new material, existing ones go on. The policy towards client
 * certificates belongs to Node's server, not to its secure context, so changing it needs a new listener.
 */
export function reloadTlsOf(
  listener: string,
  opened: TlsMaterial | undefined,
  server: Server | undefined,
  logger: Logger,
  closed: () => boolean,
): ListenerHandle['reloadTls'] {
  return async (tls) => {
    if (opened === undefined || server === undefined) {
      throw new ConcordError('CMQ_TLS_RELOAD', `Cannot reload TLS of listener "${listener}": it is not a TLS listener`)
    }
    if (closed())
      throw new ConcordError('CMQ_LISTENER_CLOSED', `Cannot reload TLS of listener "${listener}": it is closed`)
    const before = clientCertificatePolicy(opened)
    const after = clientCertificatePolicy(tls)
    if (before.requestCert !== after.requestCert || before.rejectUnauthorized !== after.rejectUnauthorized) {
      throw new ConcordError(
        'CMQ_TLS_RELOAD',
        `Cannot reload TLS of listener "${listener}": whether client certificates are asked for or required cannot change while it is open`,
      )
    }
    server.setSecureContext(tlsServerOptions(tls, listener, logger))
    logger.info({ event: 'tls.reloaded', listener }, 'TLS certificate replaced')
  }
}
