use super::*;

#[tokio::test]
async fn writers_of_one_name_leave_one_of_their_units_whole() {
    let place = Place::new();
    let mut writers = tokio::task::JoinSet::new();
    for restart_epoch in 0..8 {
        let store = place.store.clone();
        writers.spawn(async move { store.write(&unit(restart_epoch)).await });
    }
    while let Some(written) = writers.join_next().await {
        written.unwrap().unwrap();
    }
    assert!(matches!(place.state(&unit(0)).await, UnitFileState::Current { .. }));
    assert_eq!(fs::read_dir(place.store.path()).unwrap().count(), 1);
}
