/**
 * Certificate and key of the TLS listeners: from files, or the node's own self-signed certificate beside its key (rows F21
 * and F22). Read again on SIGHUP. Whether key and certificate fit is checked here, so that the error names the files.
 */
import { createPrivateKey, type KeyObject, type X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import type { Logger, TlsMaterial } from '@concordmq/broker'
import { configurationError } from '../command-error.ts'
import { readAddress } from '../config/host-port.ts'
import type { Configuration } from '../config/settings.ts'
import { readText } from '../files/read-text.ts'
import { ensureCertificate } from '../identity/certificate.ts'
import { certificatesOf } from '../identity/read-certificates.ts'
import { type NodeKey, parsePem } from '../identity/secret-key.ts'

export interface TlsContext {
  readonly logger: Logger
  /** False: a certificate that is missing is made for this run only. */
  readonly writeFiles: boolean
}

export async function prepareTls(
  configuration: Configuration,
  nodeKey: NodeKey,
  context: TlsContext,
): Promise<TlsMaterial> {
  const { settings } = configuration
  const clientCa = settings['tls.client-ca']
  const material =
    settings['tls.cert-file'] === undefined
      ? await ownCertificate(configuration, nodeKey, context)
      : givenCertificate(settings['tls.cert-file'], settings['tls.key-file'], { nodeKey, logger: context.logger })
  if (clientCa === undefined) return material
  const ca = readText(clientCa, 'Give the PEM roots of client certificates with --tls-client-ca').text
  certificatesOf(ca, clientCa)
  return { ...material, ca, requireClientCertificate: settings['tls.require-client-cert'] }
}

function givenCertificate(
  certFile: string,
  keyFile: string | undefined,
  { nodeKey, logger }: { readonly nodeKey: NodeKey; readonly logger: Logger },
): TlsMaterial {
  const cert = readText(certFile, 'Give an existing PEM file to --tls-cert-file').text
  const [certificate] = certificatesOf(cert, certFile)
  warnOfDates(certificate, certFile, logger)
  if (keyFile === undefined && nodeKey.random) {
    throw configurationError(
      `The certificate ${certFile} is given without its private key`,
      'Add --tls-key-file, or the key of the node if the certificate is for that',
    )
  }
  const key = keyFile === undefined ? nodeKey.privateKey : readPrivateKey(keyFile)
  if (!certificate.checkPrivateKey(key)) {
    const origin = keyFile ?? `${nodeKey.file ?? 'the key of the node'} (no --tls-key-file is given)`
    throw configurationError(
      `The certificate ${certFile} was not made for the key ${origin}`,
      'Give the private key that belongs to the certificate with --tls-key-file',
    )
  }
  return { cert, key: pemOf(key) }
}

async function ownCertificate(
  { settings, directory }: Configuration,
  nodeKey: NodeKey,
  { logger, writeFiles }: TlsContext,
): Promise<TlsMaterial> {
  const keyFile = settings['tls.key-file'] ?? nodeKey.file
  const separate = settings['tls.key-file']
  const privateKey = separate === undefined ? nodeKey.privateKey : parsePem(readText(separate).text, separate)
  const path = keyFile === undefined ? join(directory, 'mqtts.crt') : `${keyFile.replace(/\.(pem|key)$/, '')}.crt`
  const addresses = [
    ...(settings['mqtts.enabled'] ? settings['mqtts.addr'] : []),
    ...(settings['wss.enabled'] ? settings['wss.addr'] : []),
  ]
  const { pem, written, unsaved } = await ensureCertificate({
    path,
    privateKey,
    serverName: settings['tls.server-name'],
    boundHosts: addresses.map((text) => readAddress(text).host),
    now: new Date(),
    write: writeFiles,
  })
  if (unsaved !== undefined) {
    logger.warn(
      { event: 'certificate.unsaved', file: path, reason: unsaved },
      'the self-signed certificate could not be kept; clients cannot be given it',
    )
  } else if (written !== undefined) {
    logger.info(
      { event: 'certificate.written', file: path, reason: written },
      'wrote a self-signed certificate for clients to trust',
    )
  }
  return { cert: pem, key: pemOf(privateKey) }
}

/** Clients refuse such a certificate. The node starts all the same: its other listeners are better than none. */
function warnOfDates({ validFromDate, validToDate }: X509Certificate, file: string, logger: Logger): void {
  const now = new Date()
  if (now > validToDate) {
    logger.error(
      { event: 'certificate.expired', file, not_after: validToDate.toISOString() },
      'the certificate has expired and clients will refuse it; replace the file and send SIGHUP',
    )
  } else if (now < validFromDate) {
    logger.error(
      { event: 'certificate.early', file, not_before: validFromDate.toISOString() },
      'the certificate is not valid yet and clients will refuse it; check the file and the clock',
    )
  }
}

/** Any kind of key a certificate may have. */
function readPrivateKey(path: string): KeyObject {
  const { text } = readText(path, 'Give an existing PEM file to --tls-key-file')
  try {
    return createPrivateKey(text)
  } catch {
    throw configurationError(`The file ${path} is not a private key in PEM without passphrase`)
  }
}

function pemOf(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString()
}
