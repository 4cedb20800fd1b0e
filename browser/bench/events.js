/** As much of Node's `events` as PouchDB uses in a browser, whose build leaves it out. */
function EventEmitter() {}

// Assigned, not declared in a class: PouchDB copies what it finds by name.
Object.assign(EventEmitter.prototype, {
  on(name, heard) {
    this.heard ??= new Map();
    this.heard.set(name, [...(this.heard.get(name) ?? []), heard]);
    return this;
  },
  addListener(name, heard) {
    return this.on(name, heard);
  },
  once(name, heard) {
    const once = (...told) => {
      this.removeListener(name, once);
      heard.apply(this, told);
    };
    return this.on(name, once);
  },
  removeListener(name, heard) {
    this.heard?.set(
      name,
      this.listeners(name).filter((one) => one !== heard),
    );
    return this;
  },
  removeAllListeners(name) {
    if (name === undefined) this.heard?.clear();
    else this.heard?.delete(name);
    return this;
  },
  listeners(name) {
    return this.heard?.get(name) ?? [];
  },
  listenerCount(name) {
    return this.listeners(name).length;
  },
  setMaxListeners() {
    return this;
  },
  emit(name, ...told) {
    const all = this.listeners(name);
    for (const heard of all) heard.apply(this, told);
    return all.length > 0;
  },
});

// biome-ignore lint/style/noDefaultExport: PouchDB imports it so.
export default EventEmitter;
