/**
 * Documents of operators (architecture section 3.1, `admin`): what they sign, and how every node judges it. Signatures are for one
 * network and for no epoch: its operators stay those of the first one, and a document stays in force when nodes come and go.
 */
import { type KeyObject, sign } from 'node:crypto'
import { type Cryptography, type Epoch, signedBytes } from '@concordmq/consensus'
import { type AdminDocument, type AdminSignature, adminContent, type Judge } from '@concordmq/state'
import type { OperatorKey } from './reconfiguration.ts'

/** Signatures of a document by operators in ascending order; `networkHash`: hash of the network's first epoch. */
export function signDocument(
  networkHash: Uint8Array,
  document: AdminDocument,
  operators: readonly OperatorKey[],
): AdminSignature[] {
  return operators.map(({ operator, privateKey }) => ({
    operator,
    signature: signWith(privateKey, signedBytes('admin', networkHash, adminContent(document))),
  }))
}

/** The judge of a network. Each signature costs 85 µs, and none is looked at of who is no operator. */
export function operatorsJudge(genesis: Epoch, { verify }: Pick<Cryptography, 'verify'>): Judge {
  const { keys, threshold } = genesis.operators
  return (content, signatures) => {
    if (keys.length === 0) return 'this cluster has no operators: its address book names none'
    const signed = signedBytes('admin', genesis.hash, content)
    const valid = signatures.filter(({ operator, signature }) => {
      const key = keys[operator]
      return key !== undefined && verify(key, signed, signature)
    })
    return valid.length >= threshold ? undefined : `${valid.length} operators signed it, ${threshold} must`
  }
}

function signWith(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' })
}
