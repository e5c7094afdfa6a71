/**
 * The user name that a verified client certificate carries: its common name, or the one alternative name of a kind. A
 * certificate with two names of the kind names nobody: a rule must not depend on which of them comes first.
 */

export type CertificateUser = 'off' | 'commonName' | 'dns' | 'email' | 'uri'

/** A verified certificate, as a listener shows it. */
export interface VerifiedCertificate {
  /** Empty: there is none, or several. */
  readonly commonName: string
  /** As OpenSSL writes it: `DNS:a.example, URI:urn:x`; empty: there is none. */
  readonly subjectAltName: string
}

const labels = { dns: 'DNS', email: 'email', uri: 'URI' } as const

/** Undefined: it carries no such name. */
export function userOfCertificate(certificate: VerifiedCertificate, kind: CertificateUser): string | undefined {
  if (kind === 'off') return undefined
  const names = kind === 'commonName' ? [certificate.commonName] : namesOf(certificate.subjectAltName, labels[kind])
  const [only = ''] = names
  // MQTT user names are UTF-8 without U+0000; nobody needs the others.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
  return names.length === 1 && only !== '' && !/[\u0000-\u001f\u007f]/.test(only) ? only : undefined
}

/** Names of one kind. Node quotes those that could be taken for several; text in any other form names nobody. */
function namesOf(text: string, label: string): string[] {
  const names: string[] = []
  const entry = /([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y
  while (entry.lastIndex < text.length) {
    const match = entry.exec(text)
    if (match === null) return []
    const [, kind, value = ''] = match
    if (kind !== label) continue
    try {
      names.push(value.startsWith('"') ? String(JSON.parse(value)) : value)
    } catch {
      return []
    }
  }
  return names
}
