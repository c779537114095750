/** Parts of packages that their `exports` do not name. */
import { createRequire } from 'node:module'
import path from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

const modules = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', 'node_modules')

export const part = file => import(pathToFileURL(path.join(modules, file)).href)
/** A package that only another package depends on. */
export const required = name => createRequire(path.join(modules, 'index.js'))(name)
