//! All that a job needs on disk before its supervisor can begin, and the order for that supervisor.

use crate::error::Error;
use crate::folder::Folder;
use crate::order::Order;
use crate::owner::Owner;
use crate::worker::Settings;
use builder_sandbox::plan::LAYER_FOLDERS;
use builder_sandbox::{Host, Place, Plan};

/// A job that can begin; what it has on disk goes with this value.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// Where the script lies, and where it runs.
    pub(crate) folder: Folder,
    /// What it writes into its root file system.
    pub(crate) layer: Option<Folder>,
    /// What it is called on this host.
    pub(crate) name: String,
    /// For the supervisor.
    pub(crate) order: Order,
}

impl Prepared {
    /// Makes everything ready for a script. All of it belongs to whoever runs the job.
    pub(crate) fn of(settings: &Settings, host: &Host, script: &[u8]) -> Result<Self, Error> {
        let folder = Folder::create(&settings.workdir)?;
        let script = folder.write_script(script)?;
        let layer = settings.policy.needs_layer().then(|| Folder::create(&settings.workdir)).transpose()?;
        let place = Place {
            folder: folder.path().into(),
            layer: layer.as_ref().map(|layer| layer.path().into()),
            name: name_of(&folder),
            slot: settings.slot,
        };
        let plan = builder_sandbox::plan(&settings.policy, host, &place);
        let plan = plan.map_err(|findings| Error::Refused { findings })?;
        let enclosure = match &plan {
            Plan::Bare(_) => None,
            Plan::Enclosed(enclosure) => Some(enclosure),
        };
        if let Some(user) = enclosure.and_then(|enclosure| enclosure.owner) {
            folder.give_to(user)?;
        }
        if let Some(layer) = &layer {
            let owner = enclosure.and_then(|enclosure| enclosure.stage.as_ref()?.root.as_ref()?.layer.as_ref()?.owner);
            LAYER_FOLDERS.into_iter().try_for_each(|name| layer.add(name, owner))?;
        }
        let (folder_path, script) = (folder.path().into(), script.into());
        let order = Order { folder: folder_path, script, plan, writable: None, file_bytes: None };
        Ok(Self { folder, layer, name: place.name, order })
    }
}

/// What a job is called on this host: as its folder, and where that can be told, with the process that it is of.
fn name_of(folder: &Folder) -> String {
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy();
    let mark = name.rsplit('-').next().unwrap_or_default();
    Owner::this().map_or_else(|| name.clone().into_owned(), |owner| owner.name(mark))
}
