/** Certificates in PEM files, one or several in each. */
import { X509Certificate } from 'node:crypto'
import { configurationError } from '../command-error.ts'
import { readText } from '../files/read-text.ts'

type Certificates = readonly [X509Certificate, ...X509Certificate[]]

/** All certificates of a file. */
export function readCertificates(path: string, remedy: string): Certificates {
  return certificatesOf(readText(path, remedy).text, path)
}

/** All certificates of a text; `path` is where it came from. */
export function certificatesOf(pem: string, path: string): Certificates {
  const begin = '-----BEGIN CERTIFICATE-----'
  const blocks = pem.split(begin).slice(1)
  const [first, ...others] = blocks.map((block, index) => {
    try {
      return new X509Certificate(begin + block)
    } catch {
      const which = blocks.length === 1 ? 'its certificate' : `certificate ${index + 1} of ${blocks.length}`
      throw configurationError(`The file ${path} is not a certificate in PEM: ${which} is damaged`, 'Issue it anew')
    }
  })
  if (first === undefined) {
    throw configurationError(`The file ${path} is not a certificate in PEM`, `It begins with ${begin}`)
  }
  return [first, ...others]
}
